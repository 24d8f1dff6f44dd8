// The checker must refuse what is wrong: each test breaks a correct schedule in one way.
#include "core/plan/checker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using ::testing::HasSubstr;

CollectivePlan ring_of_four() {
  CollectiveRequest r;
  r.world_size = 4;
  r.elements = 8;
  return plan_collective(r);
}

CollectivePlan tree_of_seven() {
  CollectiveRequest r;
  r.algorithm = AllreduceAlgorithm::Tree;
  r.world_size = 7;
  r.elements = 12;
  r.chunk = 2;
  return plan_collective(r);
}

/// The collective with one step changed.
CheckedCollective altered(const CollectivePlan& plan, int rank, int lane, std::int64_t index, const std::function<void(ScheduleStep&)>& change) {
  CheckedCollective c = checked(plan);
  auto original = c.step;
  c.step = [=](int p, int r, int l, std::int64_t i) {
    ScheduleStep s = original(p, r, l, i);
    if (r == rank && l == lane && i == index) change(s);
    return s;
  };
  return c;
}

void expect_refused(const CheckedCollective& c, const std::string& words) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const auto fault = check(c, seed);
    ASSERT_TRUE(fault.has_value());
    EXPECT_THAT(*fault, HasSubstr(words));
  }
}

TEST(Checker, AcceptsTheOriginals) {
  EXPECT_EQ(check(ring_of_four()), std::nullopt);
  EXPECT_EQ(check(tree_of_seven()), std::nullopt);
}

TEST(Checker, DroppedReduce) {
  expect_refused(altered(ring_of_four(), 2, 0, 1, [](ScheduleStep& s) { s.reduce = false; }), "missing contributions");
}

TEST(Checker, DoubledContribution) {
  // Step 3 is the first of the all-gather; adding there adds contributions again.
  expect_refused(altered(ring_of_four(), 1, 0, 3, [](ScheduleStep& s) { s.reduce = true; }), "twice");
}

TEST(Checker, WrongSpan) {
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.send.begin = (s.send.begin + 4) % 8; }), "expects elements");
}

TEST(Checker, WrongPeer) {
  expect_refused(altered(ring_of_four(), 3, 0, 0, [](ScheduleStep& s) { s.receive_from = 1; }), "hears from");
}

TEST(Checker, LostMessageIsADeadlock) {
  expect_refused(altered(ring_of_four(), 0, 0, 2, [](ScheduleStep& s) { s.send_to = -1; }), "deadlock");
}

TEST(Checker, UnreceivedMessage) {
  expect_refused(altered(ring_of_four(), 1, 0, 5, [](ScheduleStep& s) { s.receive_from = -1; }), "never received");
}

TEST(Checker, MissingWaitIsARaceOrAWrongSum) {
  // An inner member of the first tree sends up without waiting for its children.
  const CollectivePlan plan = tree_of_seven();
  const Schedule s = plan.schedule(plan.phases[0], Rank(0));
  int inner = -1;
  for (int m = 0; m < 7 && inner < 0; ++m) {
    if (s.steps(m, 0) > 0 && s.steps(m, 2) > 0) inner = m;
  }
  ASSERT_GE(inner, 0);
  bool refused = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    refused = refused || check(altered(plan, inner, 2, 0, [](ScheduleStep& step) { step.waits = {}; }), seed).has_value();
  }
  EXPECT_TRUE(refused);
}

TEST(Checker, OutOfBounds) {
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.receive = {7, 2}; }), "leaves the buffer");
}

}  // namespace
}  // namespace lockstep
