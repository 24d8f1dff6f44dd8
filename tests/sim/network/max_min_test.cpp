#include "sim/network/max_min.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <vector>

namespace lockstep::sim {
namespace {

constexpr double kNoCap = std::numeric_limits<double>::infinity();

struct TestFlow {
  double cap;
  std::vector<int> links;
};

std::vector<double> rates(MaxMin& problem, const std::vector<double>& capacities, const std::vector<TestFlow>& flows) {
  problem.clear();
  for (const TestFlow& flow : flows) problem.add_flow(flow.cap);
  for (std::size_t l = 0; l < capacities.size(); ++l) {
    problem.add_link(capacities[l]);
    for (std::size_t f = 0; f < flows.size(); ++f) {
      const std::vector<int>& crossed = flows[f].links;
      if (std::count(crossed.begin(), crossed.end(), static_cast<int>(l)) > 0)
        problem.cross(static_cast<std::int32_t>(f));
    }
  }
  problem.solve();
  std::vector<double> result;
  for (std::size_t f = 0; f < flows.size(); ++f) result.push_back(problem.rate(static_cast<std::int32_t>(f)));
  return result;
}

std::vector<double> rates(const std::vector<double>& capacities, const std::vector<TestFlow>& flows) {
  MaxMin problem;
  return rates(problem, capacities, flows);
}

// o=== link 0: C = 1 ===o      flows 1 and 2 cross it
//
//   rho1 + rho2 <= C   =>   rho1 = rho2 = C / 2
TEST(MaxMin, TwoFlowsShareOneLink) {
  EXPECT_EQ(rates({1}, {{kNoCap, {0}}, {kNoCap, {0}}}), (std::vector<double>{0.5, 0.5}));
}

// Flow 0 is held to 0.25 by its cap, so flow 1 gets 1 - 0.25 = 0.75.
TEST(MaxMin, WhatACapLeavesGoesToTheOthers) {
  EXPECT_EQ(rates({1}, {{0.25, {0}}, {kNoCap, {0}}}), (std::vector<double>{0.25, 0.75}));
  // Three flows: caps 0.1 and 0.2 bind (both below 1/3), the third gets 1 - 0.3.
  const auto three = rates({1}, {{0.2, {0}}, {kNoCap, {0}}, {0.1, {0}}});
  EXPECT_DOUBLE_EQ(three[0], 0.2);
  EXPECT_DOUBLE_EQ(three[1], 0.7);
  EXPECT_DOUBLE_EQ(three[2], 0.1);
  // A cap above the fair share changes nothing.
  EXPECT_EQ(rates({1}, {{0.6, {0}}, {kNoCap, {0}}}), (std::vector<double>{0.5, 0.5}));
}

// Parking lot: flow 0 crosses all three links, flows 1, 2, 3 one each.
//
//   -- f0 ------------------------------->
//   == link 0: 1 == link 1: 2 == link 2: 3 ==
//   -- f1 -->       -- f2 -->    -- f3 -->
//
// Shares 1/2, 2/2, 3/2: link 0 binds, f0 = f1 = 0.5. Left: f2 = 2 - 0.5 = 1.5, f3 = 3 - 0.5 = 2.5.
TEST(MaxMin, ParkingLot) {
  EXPECT_EQ(rates({1, 2, 3}, {{kNoCap, {0, 1, 2}}, {kNoCap, {0}}, {kNoCap, {1}}, {kNoCap, {2}}}),
            (std::vector<double>{0.5, 0.5, 1.5, 2.5}));
}

// Bertsekas & Gallager's kind of example with two levels: link 0 (C = 1) carries f0, f1, f2; link 1 (C = 2) carries f2,
// f3. Share of link 0: 1/3; of link 1: 1. Link 0 binds: f0 = f1 = f2 = 1/3. Then f3 = 2 - 1/3 = 5/3.
TEST(MaxMin, SecondLevelGetsWhatTheFirstLeaves) {
  const auto r = rates({1, 2}, {{kNoCap, {0}}, {kNoCap, {0}}, {kNoCap, {0, 1}}, {kNoCap, {1}}});
  EXPECT_DOUBLE_EQ(r[0], 1.0 / 3);
  EXPECT_EQ(r[0], r[1]);
  EXPECT_EQ(r[0], r[2]);
  EXPECT_DOUBLE_EQ(r[3], 5.0 / 3);
}

// Chain: f0 on {0}, f1 on {0, 1}, f2 on {1, 2}, f3 on {2}; capacities 6, 4, 10.
// Shares 3, 2, 5: link 1 binds, f1 = f2 = 2; then f0 = 6 - 2 = 4, f3 = 10 - 2 = 8.
TEST(MaxMin, MiddleOfAChainBindsFirst) {
  EXPECT_EQ(rates({6, 4, 10}, {{kNoCap, {0}}, {kNoCap, {0, 1}}, {kNoCap, {1, 2}}, {kNoCap, {2}}}),
            (std::vector<double>{4, 2, 2, 8}));
}

// f0 capped at 1 crosses both links (6 and 4); f1 on link 0, f2 and f3 on link 1. Cap 1 < 4/3: f0 = 1; f2 = f3 = 1.5;
// f1 = 5.
TEST(MaxMin, CapFreesBothLinks) {
  EXPECT_EQ(rates({6, 4}, {{1, {0, 1}}, {kNoCap, {0}}, {kNoCap, {1}}, {kNoCap, {1}}}),
            (std::vector<double>{1, 5, 1.5, 1.5}));
}

TEST(MaxMin, LinkWithoutCapacityStopsItsFlowsOnly) {
  EXPECT_EQ(rates({0, 4}, {{kNoCap, {0, 1}}, {kNoCap, {1}}}), (std::vector<double>{0, 4}));
}

TEST(MaxMin, FlowWithoutLinksRunsAtItsCap) { EXPECT_EQ(rates({}, {{7, {}}}), (std::vector<double>{7})); }

TEST(MaxMin, ASolverForgetsItsLastProblem) {
  MaxMin problem;
  rates(problem, {1, 2, 3}, {{kNoCap, {0, 1, 2}}, {kNoCap, {0}}});
  EXPECT_EQ(rates(problem, {8}, {{kNoCap, {0}}, {kNoCap, {0}}}), (std::vector<double>{4, 4}));
}

}  // namespace
}  // namespace lockstep::sim
