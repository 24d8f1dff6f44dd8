#include "core/plan/collective.hpp"

#include <gtest/gtest.h>

#include "core/plan/checker.hpp"

namespace lockstep {
namespace {

using A = AllreduceAlgorithm;

CollectiveRequest request(A algorithm, A across, int world, int node, std::int64_t elements, std::int64_t chunk = 3) {
  CollectiveRequest r;
  r.algorithm = algorithm;
  r.across = across;
  r.world_size = world;
  r.node_gpus = node;
  r.elements = elements;
  r.chunk = chunk;
  return r;
}

struct Kind {
  A algorithm, across;
};
const std::vector<Kind> kKinds = {{A::Ring, A::Ring},           {A::HalvingDoubling, A::Ring},       {A::Tree, A::Ring},
                                  {A::Torus, A::Ring},          {A::Torus, A::Tree},                 {A::Hierarchical, A::Ring},
                                  {A::Hierarchical, A::HalvingDoubling}, {A::Hierarchical, A::Tree}, {A::ThreePhase, A::Ring},
                                  {A::ThreePhase, A::HalvingDoubling},   {A::ThreePhase, A::Tree}};

/// Walks every lane of every rank: what count() promises in closed form.
CollectiveCount walk(const CollectivePlan& plan) {
  CollectiveCount total;
  for (const Phase& phase : plan.phases) {
    std::int64_t longest = 0;
    for (int r = 0; r < plan.grid.size(); ++r) {
      if (!plan.takes_part(phase, Rank(r))) continue;
      const Schedule s = plan.schedule(phase, Rank(r));
      const int member = plan.member(phase, Rank(r));
      for (int lane = 0; lane < s.lanes(member); ++lane) {
        longest = std::max(longest, s.steps(member, lane));
        for (std::int64_t i = 0; i < s.steps(member, lane); ++i) {
          const ScheduleStep step = s.step(member, lane, i);
          if (step.send_to >= 0) {
            ++total.messages;
            total.elements_sent += step.send.length;
          }
          if (step.receive_from >= 0 && step.reduce) total.elements_reduced += step.receive.length;
        }
      }
    }
    total.longest += longest;
  }
  return total;
}

void expect_correct(const CollectivePlan& plan, const std::string& what) {
  const auto fault = check(plan, static_cast<std::uint64_t>(plan.elements + plan.grid.size()));
  EXPECT_FALSE(fault.has_value()) << what << ": " << *fault;
  const CollectiveCount walked = walk(plan), counted = count(plan);
  EXPECT_EQ(walked.messages, counted.messages) << what;
  EXPECT_EQ(walked.elements_sent, counted.elements_sent) << what;
  EXPECT_EQ(walked.elements_reduced, counted.elements_reduced) << what;
  EXPECT_EQ(walked.longest, counted.longest) << what;
}

void sweep(int first, int last) {
  for (int world = first; world <= last; ++world) {
    for (const Kind& kind : kKinds) {
      for (const std::int64_t elements : {std::int64_t{0}, std::int64_t{1}, std::int64_t{world - 1}, std::int64_t{2 * world + 5}}) {
        const int node = world % 3 == 0 ? 4 : 8;
        const CollectivePlan plan = plan_collective(request(kind.algorithm, kind.across, world, node, elements));
        expect_correct(plan, "algorithm " + std::to_string(static_cast<int>(kind.algorithm)) + "/" + std::to_string(static_cast<int>(kind.across)) +
                                 ", " + std::to_string(world) + " ranks, " + std::to_string(elements) + " elements");
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(Collective, EveryAlgorithmIsCorrectOnSmallWorlds) { sweep(1, 13); }
TEST(CollectiveSlow, EveryAlgorithmIsCorrectUpTo64Ranks) { sweep(14, 64); }

TEST(Collective, RingWithChannelsAndNodes) {
  // Four GPUs per node, two rings: over three nodes channel c walks node after node in its own order.
  CollectiveRequest r = request(A::Ring, A::Ring, 12, 4, 29);
  r.ring_orders = {{0, 1, 2, 3}, {0, 3, 2, 1}, {0, 2, 1, 3}};
  const CollectivePlan flat = plan_collective(r);
  ASSERT_EQ(flat.phases.size(), 1u);
  EXPECT_EQ(flat.phases[0].orders[1], (std::vector<int>{0, 3, 2, 1, 4, 7, 6, 5, 8, 11, 10, 9}));
  expect_correct(flat, "flat ring");
  for (const A a : {A::Hierarchical, A::ThreePhase}) {
    r.algorithm = a;
    expect_correct(plan_collective(r), "two levels with channels");
  }
}

TEST(Collective, RingCountsByTheTextbook) {
  // n = 8, E = 1000: 2 (n - 1) = 14 steps, n x 14 = 112 messages, 2 (n - 1) E = 14,000 elements sent, (n - 1) E = 7,000 added.
  const CollectiveCount c = count(plan_collective(request(A::Ring, A::Ring, 8, 1, 1000)));
  EXPECT_EQ(c.longest, 14);
  EXPECT_EQ(c.messages, 112);
  EXPECT_EQ(c.elements_sent, 14000);
  EXPECT_EQ(c.elements_reduced, 7000);
}

TEST(Collective, FlatRingOver2048RanksHas8MillionMessages) {
  EXPECT_EQ(count(plan_collective(request(A::Ring, A::Ring, 2048, 1, 25557032))).messages, 2048LL * 2 * 2047);  // 8,384,512
}

TEST(Collective, HalvingDoublingCountsByTheTextbook) {
  // n = 32: 2 lg n = 10 steps; each rank sends 2 E (n - 1) / n = 62 of 32 elements; reduces E (n - 1) / n.
  const CollectiveCount c = count(plan_collective(request(A::HalvingDoubling, A::Ring, 32, 1, 32)));
  EXPECT_EQ(c.longest, 10);
  EXPECT_EQ(c.messages, 32 * 10);
  EXPECT_EQ(c.elements_sent, 32 * 62);
  EXPECT_EQ(c.elements_reduced, 32 * 31);
}

TEST(Collective, BinaryBlocksOf44Servers) {
  // 44 = 32 + 8 + 4: the block of 32 takes 2 x 5 steps inside and two messages with the block of 8 (its sum in, the total out).
  const CollectivePlan plan = plan_collective(request(A::HalvingDoubling, A::Ring, 44, 1, 88));
  const Schedule s = plan.schedule(plan.phases[0], Rank(0));
  EXPECT_EQ(s.steps(0, 0), 12);
  // A member of the block of 8 (members 32 to 39): 2 x 3 inside, 2 x 32 / 8 with the larger block, 2 with the smaller one.
  EXPECT_EQ(s.steps(32, 0), 6 + 8 + 2);
  // A member of the block of 4: 2 x 2 inside, 2 x 8 / 4 with the larger block.
  EXPECT_EQ(s.steps(40, 0), 4 + 4);
}

TEST(Collective, TreesShareTheWork) {
  // Whoever has children in one tree is a leaf of the other (even member counts).
  const Schedule s = tree_schedule({0, 64}, 14, 4);
  for (int m = 0; m < 14; ++m) {
    const bool inside_first = s.steps(m, 0) + s.steps(m, 1) > 0, inside_second = s.steps(m, 6) + s.steps(m, 7) > 0;
    EXPECT_FALSE(inside_first && inside_second) << "member " << m;
  }
}

TEST(Collective, HierarchicalRowsLieInsideNodes) {
  // 10 ranks on nodes of 4 (4 + 4 + 2): gcd(4, 10) = 2, so rows of 2 never straddle a node.
  const CollectivePlan plan = plan_collective(request(A::Hierarchical, A::Ring, 10, 4, 7));
  EXPECT_EQ(plan.grid.x, 2);
  EXPECT_EQ(plan.grid.y, 5);
}

TEST(Collective, FujitsusPhases) {
  const CollectivePlan plan = plan_collective(request(A::Hierarchical, A::Tree, 2048, 4, 1000));
  ASSERT_EQ(plan.phases.size(), 3u);
  EXPECT_EQ(plan.phases[0].op, CollectiveOp::ReduceScatter);
  EXPECT_EQ(plan.phases[1].group, Group::Column);
  EXPECT_EQ(plan.phases[1].algorithm, PhaseAlgorithm::Tree);
  EXPECT_EQ(plan.phases[2].op, CollectiveOp::AllGather);
  // Rank 5 is local rank 1 of node 1: it reduces the second quarter with ranks 1, 9, 13, ...
  EXPECT_EQ(plan.rank(plan.phases[1], Rank(5), 3), Rank(13));
}

}  // namespace
}  // namespace lockstep
