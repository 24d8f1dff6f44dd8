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
CheckedCollective altered(const CollectivePlan& plan, int rank, int lane, std::int64_t index,
                          const std::function<void(ScheduleStep&)>& change) {
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
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.send.begin = (s.send.begin + 4) % 8; }),
                 "expects elements");
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

TEST(Checker, EveryMissingWaitIsFoundInEveryOrder) {
  // A tree, a chain and NVLS: whichever step forgets its waits, whatever order the run happens to take.
  CollectiveRequest r;
  r.algorithm = AllreduceAlgorithm::ThreePhase;
  r.world_size = r.node_gpus = 5;
  r.elements = 6;
  r.chunk = 2;
  CollectiveRequest switches;
  switches.algorithm = AllreduceAlgorithm::Nvls;
  switches.world_size = 6;
  switches.node_gpus = 2;
  switches.elements = 16;
  switches.nvls_chunk = 2;
  int dropped = 0;
  for (const CollectivePlan& plan : {tree_of_seven(), plan_collective(r), plan_collective(switches)}) {
    const CheckedCollective c = checked(plan);
    for (int rank = 0; rank < c.world; ++rank) {
      for (int lane = 0; lane < c.lanes(0, rank); ++lane) {
        for (std::int64_t i = 0; i < c.steps(0, rank, lane); ++i) {
          if (c.step(0, rank, lane, i).waits[0].lane < 0 && c.step(0, rank, lane, i).waits[1].lane < 0) continue;
          expect_refused(altered(plan, rank, lane, i, [](ScheduleStep& s) { s.waits = {}; }), "");
          ++dropped;
        }
      }
    }
  }
  EXPECT_GT(dropped, 50);
}

TEST(Checker, RacesAreNamed) {
  // Member 1 of tree 0 over 7 has children 0 and 2 (lanes 0, 1) and sends up on lane 2.
  expect_refused(altered(tree_of_seven(), 1, 2, 0, [](ScheduleStep& s) { s.waits = {}; }), "at the same time");
  expect_refused(altered(tree_of_seven(), 1, 1, 0, [](ScheduleStep& s) { s.waits = {}; }), "at the same time");
}

TEST(Checker, EveryFlippedReduceIsFound) {
  // reduce instead of overwrite adds twice; overwrite instead of reduce loses contributions (and may then add others
  // twice).
  for (const AllreduceAlgorithm algorithm : {AllreduceAlgorithm::Ring, AllreduceAlgorithm::HalvingDoubling,
                                             AllreduceAlgorithm::Tree, AllreduceAlgorithm::Hierarchical}) {
    CollectiveRequest r;
    r.algorithm = algorithm;
    r.across = AllreduceAlgorithm::HalvingDoubling;
    r.world_size = 6;
    r.node_gpus = 2;
    r.elements = 48;
    r.chunk = 24;
    const CollectivePlan plan = plan_collective(r);
    const CheckedCollective c = checked(plan);
    for (int phase = 0; phase < c.phases; ++phase) {
      for (int rank = 0; rank < c.world; ++rank) {
        for (int lane = 0; lane < c.lanes(phase, rank); ++lane) {
          for (std::int64_t i = 0; i < c.steps(phase, rank, lane); ++i) {
            if (c.step(phase, rank, lane, i).receive_from < 0) continue;
            CheckedCollective broken = c;
            broken.step = [=](int p, int at, int l, std::int64_t k) {
              ScheduleStep s = c.step(p, at, l, k);
              if (p == phase && at == rank && l == lane && k == i) s.reduce = !s.reduce;
              return s;
            };
            EXPECT_TRUE(check(broken).has_value())
                << "phase " << phase << ", rank " << rank << ", lane " << lane << ", step " << i;
          }
        }
      }
    }
  }
}

TEST(Checker, TwoLanesOnOneElement) {
  // Two rings that both carry the whole buffer.
  CheckedCollective c = checked(ring_of_four());
  const auto step = c.step;
  c.lanes = [](int, int) { return 2; };
  c.step = [=](int p, int r, int l, std::int64_t i) {
    ScheduleStep s = step(p, r, 0, i);
    s.send_lane = l;
    return s;
  };
  expect_refused(c, "at the same time");
}

TEST(Checker, MessageToNowhere) {
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.send_lane = 1; }), "which does not exist");
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.send_step = 6; }), "which does not exist");
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.send_to = 9; }), "which does not exist");
}

TEST(Checker, TwoMessagesToOneStep) {
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.send_step = 1; }), "");
}

TEST(Checker, ImpossibleWaits) {
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.waits[0] = {3, 1}; }), "which has fewer");
  expect_refused(altered(ring_of_four(), 0, 0, 0,
                         [](ScheduleStep& s) {
                           s.waits[0] = {0, 1};
                         }),
                 "waits for another lane");  // for itself
}

TEST(Checker, SendsWhatItReceives) {
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.send = s.receive; }),
                 "sends what it is receiving");
}

TEST(Checker, DeadlockNamesWhoWaitsForWhom) {
  expect_refused(altered(ring_of_four(), 0, 0, 2, [](ScheduleStep& s) { s.send_to = -1; }),
                 "rank 1 is stuck in phase 0; lane 0, step 2 of 6: nothing comes from rank 0");
}

TEST(Checker, PromisesOfOtherOperations) {
  // A reduce-scatter alone is no allreduce, and an all-gather of unreduced parts is no reduce-scatter.
  CheckedCollective c = checked(ring_schedule(CollectiveOp::ReduceScatter, {0, 8}, 4), 8);
  EXPECT_EQ(check(c), std::nullopt);
  c.expected = {};
  expect_refused(c, "missing contributions");
  c = checked(ring_schedule(CollectiveOp::Broadcast, {2, 4}, 4), 8);
  EXPECT_EQ(check(c), std::nullopt);
  c.expected = [](int rank, std::int64_t) { return std::uint64_t{1} << rank; };
  expect_refused(c, "missing contributions");
  // What lies outside of the span must stay: here a step reaches one element beyond it.
  c = checked(ring_schedule(CollectiveOp::Allreduce, {0, 7}, 2), 8);
  const auto step = c.step;
  c.step = [=](int p, int r, int l, std::int64_t i) {
    ScheduleStep s = step(p, r, l, i);
    for (Span* span : {&s.send, &s.receive}) span->length += span->begin + span->length == 7;
    return s;
  };
  expect_refused(c, "beyond its own share");
}

TEST(Checker, OutOfBounds) {
  expect_refused(altered(ring_of_four(), 0, 0, 0, [](ScheduleStep& s) { s.receive = {7, 2}; }), "leaves the buffer");
}

}  // namespace
}  // namespace lockstep
