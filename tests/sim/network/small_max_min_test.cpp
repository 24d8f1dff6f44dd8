#include "sim/network/small_max_min.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "sim/network/max_min.hpp"

namespace lockstep::sim {
namespace {

constexpr double kNoCap = std::numeric_limits<double>::infinity();

struct Problem {
  std::vector<double> caps;
  std::vector<std::pair<double, std::uint64_t>> links;  ///< capacity, flows as bits
  std::vector<bool> own_row;                            ///< by link
};

struct Answer {
  std::vector<double> rates;
  std::vector<double> shares;  ///< of the links with a row of their own
};

Answer small(const Problem& p, SmallMaxMin& solver) {
  solver.clear();
  for (double cap : p.caps) solver.add_flow(cap);
  std::vector<std::int32_t> rows;
  for (std::size_t l = 0; l < p.links.size(); ++l) {
    if (p.own_row[l]) {
      rows.push_back(solver.add_row(p.links[l].first, p.links[l].second));
    } else {
      solver.add_link(p.links[l].first, p.links[l].second);
    }
  }
  solver.solve();
  Answer a;
  for (std::size_t f = 0; f < p.caps.size(); ++f) a.rates.push_back(solver.rate(static_cast<std::int32_t>(f)));
  for (std::int32_t row : rows) a.shares.push_back(solver.share(row));
  return a;
}

Answer general(const Problem& p) {
  MaxMin solver;
  for (double cap : p.caps) solver.add_flow(cap);
  std::vector<std::int32_t> rows;
  for (std::size_t l = 0; l < p.links.size(); ++l) {
    const std::int32_t row = solver.add_link(p.links[l].first);
    if (p.own_row[l]) rows.push_back(row);
    for (std::uint64_t who = p.links[l].second; who; who &= who - 1) solver.cross(std::countr_zero(who));
  }
  solver.solve();
  Answer a;
  for (std::size_t f = 0; f < p.caps.size(); ++f) a.rates.push_back(solver.rate(static_cast<std::int32_t>(f)));
  for (std::int32_t row : rows) a.shares.push_back(solver.share(row));
  return a;
}

// Flows 0 and 1 share link 0 (C = 6): 3 each. Flow 2 has what flow 1 leaves of link 1 (C = 10): 7.
TEST(SmallMaxMin, WhatABottleneckLeavesGoesToTheOthers) {
  SmallMaxMin solver;
  const Problem p{{kNoCap, kNoCap, kNoCap}, {{6, 0b011}, {10, 0b110}}, {false, false}};
  EXPECT_EQ(small(p, solver).rates, (std::vector<double>{3, 3, 7}));
}

// The middle one of three links of the same flows is the narrowest: 4 / 2.
TEST(SmallMaxMin, OfLinksOfTheSameFlowsTheNarrowestCounts) {
  SmallMaxMin solver;
  const Problem p{{kNoCap, kNoCap}, {{9, 0b11}, {4, 0b11}, {8, 0b11}}, {false, false, false}};
  EXPECT_EQ(small(p, solver).rates, (std::vector<double>{2, 2}));
}

// Links 1 and 2 both give 1/3. Link 1 stands first and binds all three flows. Were link 2, which has the flows of link 0, to take its
// place, link 1 would have (1 - 1/3) / 2 left for the others: one bit more than 1/3.
TEST(SmallMaxMin, OfEqualSharesTheFirstBinds) {
  SmallMaxMin solver;
  const Problem p{{kNoCap, kNoCap, kNoCap}, {{2.0 / 3, 0b001}, {1, 0b111}, {1.0 / 3, 0b001}}, {false, false, false}};
  EXPECT_EQ(small(p, solver).rates, std::vector<double>(3, 1.0 / 3));
  EXPECT_NE((1 - 1.0 / 3) / 2, 1.0 / 3);
}

// The last flow has the highest bit: 64 flows on one link of 128.
TEST(SmallMaxMin, SixtyFourFlows) {
  SmallMaxMin solver;
  const Problem p{std::vector<double>(64, kNoCap), {{128, ~std::uint64_t{0}}}, {false}};
  EXPECT_EQ(small(p, solver).rates, std::vector<double>(64, 2));
}

TEST(SmallMaxMin, WithoutLinksEveryFlowRunsAtItsCap) {
  SmallMaxMin solver;
  EXPECT_EQ(small({{7, 3}, {}, {}}, solver).rates, (std::vector<double>{7, 3}));
}

// One solver for several problems, so that what it remembers of earlier ones would show. Few different capacities and links of the
// same flows, so that ties are common; thirds and sevenths, so that roundings are.
RC_GTEST_PROP(SmallMaxMin, EqualsTheGeneralSolverBitByBit, ()) {
  using rc::gen::inRange;
  SmallMaxMin solver;
  for (int problem = *inRange(1, 4); problem > 0; --problem) {
    Problem p;
    const int flows = *rc::gen::element(1, 2, 3, 5, 8, 20, 63, 64);
    std::vector<std::uint64_t> kinds;
    const std::uint64_t all = flows == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << flows) - 1;
    for (int k = *inRange(1, 12); k > 0; --k) {
      const std::uint64_t who = *rc::gen::arbitrary<std::uint64_t>() & *rc::gen::arbitrary<std::uint64_t>() & all;
      kinds.push_back(who ? who : 1);
    }
    const bool all_own = *inRange(0, 2) == 0;
    for (int l = *inRange(0, 30); l > 0; --l) {
      p.links.emplace_back(*inRange(0, 9) / 3.0, *rc::gen::elementOf(kinds));
      p.own_row.push_back(all_own || *inRange(0, 3) == 0);
    }
    for (int f = 0; f < flows; ++f) {
      bool crosses = false;
      for (const auto& link : p.links) crosses |= link.second >> f & 1;
      p.caps.push_back(crosses && *inRange(0, 2) == 0 ? kNoCap : *inRange(1, 15) / 7.0);
    }
    const Answer ours = small(p, solver), expected = general(p);
    RC_ASSERT(ours.rates == expected.rates);
    // Where links become one row, that may stand before another of the same share and bind in its place.
    if (all_own) RC_ASSERT(ours.shares == expected.shares);
  }
}

}  // namespace
}  // namespace lockstep::sim
