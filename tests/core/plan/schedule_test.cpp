#include "core/plan/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "core/plan/checker.hpp"

namespace lockstep {
namespace {

std::vector<std::vector<int>> random_orders(int members, int channels, std::uint64_t seed) {
  Rng rng(seed, "orders");
  std::vector<std::vector<int>> orders;
  for (int c = 0; c < channels; ++c) {
    std::vector<int> order(static_cast<std::size_t>(members));
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
    orders.push_back(std::move(order));
  }
  return orders;
}

/// Time until all is done when every message takes one unit from begin to arrival, lanes do not disturb each other, and
/// nothing else costs time. Steps begin as early as lane order and waits allow.
std::int64_t makespan(const Schedule& s) {
  struct LaneTimes {
    std::vector<std::int64_t> begin, arrival, end;  // -1 = not yet known
  };
  std::vector<std::vector<LaneTimes>> times(static_cast<std::size_t>(s.members()));
  for (int m = 0; m < s.members(); ++m) {
    for (int l = 0; l < s.lanes(m); ++l) {
      const auto n = static_cast<std::size_t>(s.steps(m, l));
      times[static_cast<std::size_t>(m)].push_back(
          {std::vector<std::int64_t>(n, -1), std::vector<std::int64_t>(n, -1), std::vector<std::int64_t>(n, -1)});
    }
  }
  std::int64_t last = 0;
  for (bool progress = true; progress;) {
    progress = false;
    for (int m = 0; m < s.members(); ++m) {
      auto& mine = times[static_cast<std::size_t>(m)];
      for (std::size_t l = 0; l < mine.size(); ++l) {
        for (std::size_t i = 0; i < mine[l].end.size(); ++i) {
          if (mine[l].end[i] >= 0) continue;
          const ScheduleStep step = s.step(m, static_cast<int>(l), static_cast<std::int64_t>(i));
          if (mine[l].begin[i] < 0) {
            std::int64_t begin = i == 0 ? 0 : mine[l].end[i - 1];
            bool known = begin >= 0;
            for (const auto& w : step.waits) {
              if (w.lane < 0 || w.steps == 0) continue;
              const std::int64_t at = mine[static_cast<std::size_t>(w.lane)].end[static_cast<std::size_t>(w.steps) - 1];
              known = known && at >= 0;
              begin = std::max(begin, at);
            }
            if (!known) break;
            mine[l].begin[i] = begin;
            if (step.send_to >= 0)
              times[static_cast<std::size_t>(step.send_to)][static_cast<std::size_t>(step.send_lane)]
                  .arrival[static_cast<std::size_t>(step.send_step)] = begin + 1;
            progress = true;
          }
          if (step.receive_from >= 0 && mine[l].arrival[i] < 0) break;
          mine[l].end[i] =
              std::max(step.send_to >= 0 ? mine[l].begin[i] + 1 : 0, std::max(mine[l].begin[i], mine[l].arrival[i]));
          last = std::max(last, mine[l].end[i]);
          progress = true;
        }
      }
    }
  }
  for (const auto& member : times) {
    for (const auto& lane : member) {
      EXPECT_TRUE(lane.end.empty() || lane.end.back() >= 0) << "deadlock";
    }
  }
  return last;
}

/// Elements that a member sends.
std::int64_t sent(const Schedule& s, int member) {
  std::int64_t sum = 0;
  for (int l = 0; l < s.lanes(member); ++l) {
    for (std::int64_t i = 0; i < s.steps(member, l); ++i) {
      const ScheduleStep step = s.step(member, l, i);
      if (step.send_to >= 0) sum += step.send.length;
    }
  }
  return sum;
}

TEST(Part, TilesEvenlyAndNests) {
  // 10 in 4: floor(10 i / 4) = 0, 2, 5, 7, 10.
  EXPECT_EQ(part({100, 10}, 0, 4), (Span{100, 2}));
  EXPECT_EQ(part({100, 10}, 1, 4), (Span{102, 3}));
  EXPECT_EQ(part({100, 10}, 2, 4), (Span{105, 2}));
  EXPECT_EQ(part({100, 10}, 3, 4), (Span{107, 3}));
  for (const std::int64_t length : {0, 1, 3, 10, 64, 101}) {
    for (std::int64_t n = 1; n <= 9; ++n) {
      std::int64_t next = 7;
      for (std::int64_t i = 0; i < n; ++i) {
        const Span p = part({7, length}, i, n);
        EXPECT_EQ(p.begin, next);
        EXPECT_LE(std::abs(p.length * n - length), n);
        EXPECT_EQ(p.begin, part({7, length}, 3 * i, 3 * n).begin);  // nests
        next += p.length;
      }
      EXPECT_EQ(next, 7 + length);
    }
  }
}

TEST(Part, HugeBuffersDoNotOverflow) {
  // L = 2^60 + 1 in 2^30 parts: part i begins at floor(i 2^30 + i / 2^30) = i 2^30, only the last is one longer.
  const Span whole{0, (std::int64_t{1} << 60) + 1};
  const std::int64_t n = std::int64_t{1} << 30;
  EXPECT_EQ(part(whole, 12345, n), (Span{12345 * n, n}));
  EXPECT_EQ(part(whole, n - 1, n), (Span{(n - 1) * n, n + 1}));
}

TEST(RingOrders, MustBePermutationsOfOneSize) {
  EXPECT_THROW(RingOrders({{0, 1, 1}}), InternalError);
  EXPECT_THROW(RingOrders({{0, 3, 1}}), InternalError);
  EXPECT_THROW(RingOrders({{0, 1}, {0, 1, 2}}), InternalError);
  EXPECT_THROW(ring_schedule(CollectiveOp::Allreduce, {0, 4}, 4, {{0, 1, 2}}), InternalError);
  EXPECT_EQ(RingOrders().channels(), 1);
}

TEST(Schedule, OneMemberHasNothingToDo) {
  for (const Schedule& s :
       {ring_schedule(CollectiveOp::Allreduce, {0, 9}, 1), ring_schedule(CollectiveOp::Reduce, {0, 9}, 1),
        ring_schedule(CollectiveOp::Broadcast, {0, 9}, 1), halving_doubling_schedule({0, 9}, 1),
        tree_schedule({0, 9}, 1, 2)}) {
    for (int l = 0; l < s.lanes(0); ++l) EXPECT_EQ(s.steps(0, l), 0);
  }
}

TEST(RingSchedule, StepsBytesAndTimeByTheTextbook) {
  for (const int n : {2, 3, 5, 8, 33}) {
    const std::int64_t elements = 12 * n;
    const RingOrders orders = random_orders(n, 3, 1);
    const Schedule all = ring_schedule(CollectiveOp::Allreduce, {0, elements}, n, orders);
    const Schedule scatter = ring_schedule(CollectiveOp::ReduceScatter, {0, elements}, n, orders);
    const Schedule gather = ring_schedule(CollectiveOp::AllGather, {0, elements}, n, orders);
    for (int m = 0; m < n; ++m) {
      EXPECT_EQ(all.lanes(m), 3);
      EXPECT_EQ(all.steps(m, 2), 2 * (n - 1));
      EXPECT_EQ(scatter.steps(m, 2), n - 1);
      EXPECT_EQ(gather.steps(m, 2), n - 1);
      EXPECT_EQ(sent(all, m), 2 * elements * (n - 1) / n);
      EXPECT_EQ(sent(scatter, m), elements * (n - 1) / n);
      EXPECT_EQ(sent(gather, m), elements * (n - 1) / n);
    }
    EXPECT_EQ(makespan(all), 2 * (n - 1));
    EXPECT_EQ(makespan(scatter), n - 1);
  }
}

TEST(RingSchedule, ChainsArePipelined) {
  // C chunks over n - 1 hops: the last chunk leaves the head at C - 1 and arrives n - 1 later.
  for (const CollectiveOp op : {CollectiveOp::Reduce, CollectiveOp::Broadcast}) {
    for (const int n : {2, 4, 7}) {
      for (const int chunks : {1, 2, 10}) {
        const Schedule s = ring_schedule(op, {0, 5 * chunks}, n, {}, 5);
        EXPECT_EQ(makespan(s), n - 2 + chunks);
      }
    }
  }
}

TEST(HalvingDoubling, PowersOfTwoAreMinimal) {
  for (int levels = 1; levels <= 6; ++levels) {
    const int n = 1 << levels;
    const std::int64_t elements = 3 * n;
    const Schedule s = halving_doubling_schedule({0, elements}, n);
    for (int m = 0; m < n; ++m) {
      EXPECT_EQ(s.steps(m, 0), 2 * levels);
      EXPECT_EQ(sent(s, m), 2 * elements * (n - 1) / n);
    }
    EXPECT_EQ(makespan(s), 2 * levels);
  }
}

TEST(HalvingDoubling, SixMembersAreBlocksOfFourAndTwo) {
  // Buffer of 8. Member 4 (block of 2, elements 0-3): sends 4 to member 5, its four sums as two pairs to members 0 and
  // 1, gets the two totals back, sends 4 to member 5. Member 0 (block of 4): 4 + 2 sent, receives 2 from member 4,
  // returns 2, sends 2 + 4.
  const Schedule s = halving_doubling_schedule({0, 8}, 6);
  EXPECT_EQ(s.steps(4, 0), 2 + 2 * 2);
  EXPECT_EQ(sent(s, 4), 4 + 4 + 4);
  EXPECT_EQ(s.steps(0, 0), 4 + 2);
  EXPECT_EQ(sent(s, 0), 4 + 2 + 2 + 2 + 4);
  const ScheduleStep in = s.step(0, 0, 2);
  EXPECT_EQ(in.receive_from, 4);
  EXPECT_TRUE(in.reduce);
  EXPECT_EQ(in.receive, (Span{0, 2}));
}

TEST(TreeSchedule, OneChunkPerUnitAfterTwiceTheHeight) {
  // One chunk goes up floor(lg n) edges and down as many; every further chunk follows one unit behind.
  for (const int n : {2, 3, 4, 5, 6, 7, 8, 9, 14, 31, 32, 33}) {
    int height = 0;
    while ((2 << height) <= n) ++height;
    for (const int chunks : {1, 2, 3, 9}) {
      const Schedule s = tree_schedule({0, 2 * chunks * 4}, n, 4);
      EXPECT_EQ(makespan(s), 2 * height + chunks - 1) << n << " members, " << chunks << " chunks per tree";
    }
  }
}

TEST(TreeSchedule, NobodyHasChildrenInBothTrees) {
  for (int n = 2; n <= 130; ++n) {
    const Schedule s = tree_schedule({0, 4}, n, 2);
    int roots = 0;
    for (int m = 0; m < n; ++m) {
      bool inner[2];
      for (int tree = 0; tree < 2; ++tree) {
        const int first = tree * TreeSchedule::kTreeLanes;
        inner[tree] =
            s.steps(m, first + TreeSchedule::kReduceLeft) + s.steps(m, first + TreeSchedule::kReduceRight) > 0;
        roots += s.steps(m, first + TreeSchedule::kSendUp) == 0;
      }
      EXPECT_FALSE(inner[0] && inner[1]) << "member " << m << " of " << n;
    }
    EXPECT_EQ(roots, 2) << n;
  }
}

TEST(TreeSchedule, SecondChildIsAddedAfterTheFirst) {
  // Tree 0 over 7: member 3 is the root with children 1 and 5. Its reduce of chunk k from 5 waits for k + 1 reduces
  // from 1.
  const Schedule s = tree_schedule({0, 12}, 7, 2);
  const ScheduleStep left = s.step(3, TreeSchedule::kReduceLeft, 1), right = s.step(3, TreeSchedule::kReduceRight, 1);
  EXPECT_EQ(left.receive_from, 1);
  EXPECT_EQ(left.waits[0].lane, -1);
  EXPECT_EQ(right.receive_from, 5);
  EXPECT_EQ(right.waits[0].lane, TreeSchedule::kReduceLeft);
  EXPECT_EQ(right.waits[0].steps, 2);
}

TEST(TreeSchedule, EmptyBufferStillSynchronises) {
  const Schedule s = tree_schedule({5, 0}, 7, 3);
  EXPECT_EQ(s.steps(3, TreeSchedule::kReduceLeft), 1);
  EXPECT_EQ(makespan(s), 4);  // up 2, down 2
}

// 4 members, 2 channels, 64 elements, chunks of 3: a loop moves at most 4 x 2 x 3 = 24 elements, so three loops of 6 steps each.
TEST(RingSchedule, LongPiecesGoRoundInLoops) {
  const Schedule s = ring_schedule(CollectiveOp::Allreduce, {0, 64}, 4, random_orders(4, 2, 1), 3);
  for (int m = 0; m < 4; ++m) {
    for (int lane = 0; lane < 2; ++lane) {
      EXPECT_EQ(s.steps(m, lane), 18);
      for (std::int64_t i = 0; i < 18; ++i) EXPECT_LE(s.step(m, lane, i).send.length, 3);
    }
  }
  EXPECT_FALSE(check(checked(s, 64), 1).has_value());
  EXPECT_EQ(ring_schedule(CollectiveOp::Allreduce, {0, 24}, 4, random_orders(4, 2, 1), 3).steps(0, 0), 6);
  EXPECT_EQ(ring_schedule(CollectiveOp::ReduceScatter, {0, 64}, 4, {}, 3).steps(0, 0), 3);
}

// 3 nodes of 4: trees over nodes 0, 1, 2 (root 1, children 0 and 2; shifted: root 0), the others of a node in a chain behind its head. A chunk goes up
// 3 chain hops and 1 tree hop, and down again: 8 steps.
TEST(TreeSchedule, NodesHangTheirMembersInAChain) {
  const Schedule s = tree_schedule({0, 24}, 12, 100, {{2, 0, 3, 1}});
  EXPECT_EQ(s.lanes(0), 2 * TreeSchedule::kNodeTreeLanes);
  const ScheduleStep up = s.step(2, TreeSchedule::kSendUp, 0);  // head of node 0 in tree 0: to the head of node 1
  EXPECT_EQ(up.send_to, 6);
  const ScheduleStep last = s.step(1, TreeSchedule::kSendUp, 0);  // end of the chain 2, 0, 3, 1
  EXPECT_EQ(last.send_to, 3);
  EXPECT_EQ(last.send_lane, TreeSchedule::kReduceChain);
  EXPECT_EQ(s.steps(6, TreeSchedule::kSendUp), 0);  // the root
  EXPECT_EQ(makespan(s), 8);
  EXPECT_FALSE(check(checked(s, 24), 1).has_value());
}

TEST(TreeSchedule, TreesOfNodesAreCorrect) {
  for (const int node : {1, 2, 3, 5}) {
    for (int nodes = 1; nodes <= 7; ++nodes) {
      for (const std::int64_t length : {0, 1, 37}) {
        const Schedule s = tree_schedule({3, length}, node * nodes, 2, random_orders(node, 3, 7));
        const auto fault = check(checked(s, length + 5), 1);
        EXPECT_FALSE(fault.has_value()) << nodes << " nodes of " << node << ", " << length << " elements: " << *fault;
      }
    }
  }
}

/// Every operation, alone, in the middle of a larger buffer, with one and several channels.
void sweep(int first, int last, std::uint64_t seed) {
  for (int n = first; n <= last; ++n) {
    for (const std::int64_t length : {std::int64_t{0}, std::int64_t{1}, std::int64_t{n - 1}, std::int64_t{2 * n + 5}}) {
      const Span span{3, length};
      std::vector<Schedule> schedules = {halving_doubling_schedule(span, n), tree_schedule(span, n, 1),
                                         tree_schedule(span, n, 4)};
      for (const CollectiveOp op : {CollectiveOp::Allreduce, CollectiveOp::ReduceScatter, CollectiveOp::AllGather,
                                    CollectiveOp::Reduce, CollectiveOp::Broadcast}) {
        schedules.push_back(ring_schedule(op, span, n, {}, 7));
        schedules.push_back(ring_schedule(op, span, n, random_orders(n, 3, seed + static_cast<std::uint64_t>(n)), 2));
      }
      for (std::size_t i = 0; i < schedules.size(); ++i) {
        const auto fault = check(checked(schedules[i], length + 5), seed);
        ASSERT_FALSE(fault.has_value()) << "schedule " << i << ", " << n << " members, " << length
                                        << " elements: " << *fault;
      }
    }
  }
}

TEST(Schedule, EveryOperationIsCorrectOnSmallGroups) { sweep(1, 12, 1); }
TEST(ScheduleSlow, EveryOperationIsCorrectUpTo64Members) {
  sweep(13, 64, 1);
  sweep(1, 24, 2);
  sweep(1, 24, 3);
}

}  // namespace
}  // namespace lockstep
