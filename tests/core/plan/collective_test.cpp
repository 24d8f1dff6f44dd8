#include "core/plan/collective.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

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
const std::vector<Kind> kKinds = {{A::Ring, A::Ring},
                                  {A::HalvingDoubling, A::Ring},
                                  {A::Tree, A::Ring},
                                  {A::NodeTree, A::Ring},
                                  {A::Torus, A::Ring},
                                  {A::Torus, A::Tree},
                                  {A::Hierarchical, A::Ring},
                                  {A::Hierarchical, A::HalvingDoubling},
                                  {A::Hierarchical, A::Tree},
                                  {A::ThreePhase, A::Ring},
                                  {A::ThreePhase, A::HalvingDoubling},
                                  {A::ThreePhase, A::Tree}};

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

/// Lanes wait for lanes of their own block only: what Schedule::coupled_lanes() promises.
void expect_waits_inside_blocks(const CollectivePlan& plan, const std::string& what) {
  for (const Phase& phase : plan.phases) {
    for (int r = 0; r < plan.grid.size(); ++r) {
      if (!plan.takes_part(phase, Rank(r))) continue;
      const Schedule s = plan.schedule(phase, Rank(r));
      const int member = plan.member(phase, Rank(r)), block = s.coupled_lanes();
      for (int lane = 0; lane < s.lanes(member); ++lane) {
        for (std::int64_t i = 0; i < s.steps(member, lane); ++i) {
          for (const auto& wait : s.step(member, lane, i).waits) {
            if (wait.lane < 0) continue;
            ASSERT_GT(block, 0) << what;
            ASSERT_EQ(wait.lane / block, lane / block) << what << ", lane " << lane;
          }
        }
      }
    }
  }
}

void expect_correct(const CollectivePlan& plan, const std::string& what) {
  expect_waits_inside_blocks(plan, what);
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
      for (const std::int64_t elements :
           {std::int64_t{0}, std::int64_t{1}, std::int64_t{world - 1}, std::int64_t{2 * world + 5}}) {
        const int node = world % 3 == 0 ? 4 : 8;
        CollectiveRequest r = request(kind.algorithm, kind.across, world, node, elements);
        if (world % 2 == 0) {  // two channels, one each way around
          std::vector<int> order(static_cast<std::size_t>(std::min(node, world)));
          for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
          r.ring_orders = {order, {order.rbegin(), order.rend()}};
        }
        const CollectivePlan plan = plan_collective(r);
        expect_correct(plan, "algorithm " + std::to_string(static_cast<int>(kind.algorithm)) + "/" +
                                 std::to_string(static_cast<int>(kind.across)) + ", " + std::to_string(world) +
                                 " ranks, " + std::to_string(elements) + " elements");
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

/// A last node short of GPUs has its own ways, and the job as many channels as the poorer of both.
TEST(Collective, AShortLastNodeHasItsOwnWays) {
  CollectiveRequest r = request(A::Ring, A::Ring, 6, 4, 60);
  r.ring_orders = {{0, 1, 2, 3}, {3, 2, 1, 0}, {0, 2, 1, 3}};
  r.last_orders = {{0, 1}, {1, 0}};
  const CollectivePlan plan = plan_collective(r);
  ASSERT_EQ(plan.phases.front().orders.channels(), 2);
  for (const auto& order : plan.phases.front().orders) {
    for (std::size_t place = 0; place < 6; ++place) EXPECT_EQ(order[place] / 4, place < 4 ? 0 : 1);
  }
  expect_correct(plan, "two ways through a node of two");
  // Entries and exits of the second node: a GPU each way, so each is entered once and left once.
  EXPECT_NE(plan.phases.front().orders[0][4], plan.phases.front().orders[1][4]);
  r.algorithm = A::NodeTree;
  EXPECT_EQ(plan_collective(r).phases.front().last_orders.channels(), 2);
  expect_correct(plan_collective(r), "a tree of both");
}

/// NVLS wants full nodes.
void sweep_nvls(const std::vector<int>& members, const std::vector<int>& rows) {
  for (const int node : members) {
    for (const int nodes : rows) {
      for (const std::int64_t elements :
           {std::int64_t{0}, std::int64_t{1}, std::int64_t{node * nodes + 3}, std::int64_t{45}}) {
        CollectiveRequest r = request(A::Nvls, A::Ring, node * nodes, node, elements);
        r.nvls_chunk = 2;
        expect_correct(plan_collective(r), std::to_string(nodes) + " nodes of " + std::to_string(node) + ", " +
                                               std::to_string(elements) + " elements");
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

/// Trees of nodes with chains behind their heads; the last node may be short of members.
TEST(Collective, TreesOfNodesAreCorrectAlsoIfTheLastIsNotFull) {
  for (int world = 4; world <= 23; ++world) {
    for (const std::int64_t elements : {std::int64_t{0}, std::int64_t{5}, std::int64_t{2 * world + 5}}) {
      CollectiveRequest r = request(A::NodeTree, A::Ring, world, 4, elements);
      r.ring_orders = {{0, 1, 2, 3}, {3, 1, 0, 2}};
      const CollectivePlan plan = plan_collective(r);
      ASSERT_EQ(plan.phases.front().orders.channels(), 2);
      expect_correct(plan, std::to_string(world) + " ranks, " + std::to_string(elements) + " elements");
      if (HasFailure()) return;
    }
  }
}

TEST(Collective, NvlsIsCorrectOnSmallWorlds) { sweep_nvls({2, 3, 4}, {1, 2, 3}); }
TEST(CollectiveSlow, NvlsIsCorrectUpTo56Ranks) { sweep_nvls({2, 3, 8}, {1, 3, 4, 7}); }

/// What crosses a GPU's links when the switch adds and copies: of S bytes S (n + 1) / n each way (NVIDIA/nccl#2140), here 80 elements of four GPUs: 100.
TEST(Collective, NvlsLoadsALinkOnceAndAShare) {
  CollectiveRequest r = request(A::Nvls, A::Ring, 4, 4, 80);
  r.nvls_chunk = 5;
  const CollectivePlan plan = plan_collective(r);
  const Schedule s = plan.schedule(plan.phases[0], Rank(0));
  std::vector<std::int64_t> up(4), down(4);
  for (int m = 0; m < 4; ++m) {
    for (int lane = 0; lane < s.lanes(m); ++lane) {
      for (std::int64_t i = 0; i < s.steps(m, lane); ++i) {
        const ScheduleStep step = s.step(m, lane, i);
        if (step.send_to < 0) continue;
        const auto from = static_cast<std::size_t>(m), to = static_cast<std::size_t>(step.send_to);
        ASSERT_NE(step.role, SwitchRole::None);
        if (step.role != SwitchRole::Copy)
          up[from] += step.send.length * (step.role == SwitchRole::CarriesCopies ? 2 : 1);
        if (step.role != SwitchRole::Joins)
          down[to] += step.send.length * (step.role == SwitchRole::CarriesSum ? 2 : 1);
      }
    }
  }
  EXPECT_THAT(up, testing::Each(100));
  EXPECT_THAT(down, testing::Each(100));
}

TEST(Collective, EveryAlgorithmIsCorrectOnSmallWorlds) { sweep(1, 13); }
TEST(CollectiveSlow, EveryAlgorithmIsCorrectUpTo64Ranks) { sweep(14, 64); }

TEST(Collective, RingWithChannelsAndNodes) {
  // Four GPUs per node, two rings: over three nodes channel c walks node after node in its own order.
  CollectiveRequest r = request(A::Ring, A::Ring, 12, 4, 29);
  r.ring_orders = {{0, 1, 2, 3}, {0, 3, 2, 1}, {0, 2, 1, 3}};
  const CollectivePlan flat = plan_collective(r);
  ASSERT_EQ(flat.phases.size(), 1u);
  for (const auto& order : flat.phases[0].orders) {
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(order[i] / 4, static_cast<int>(i) / 4);  // node after node
      EXPECT_EQ(order[i] % 4, order[i % 4]);             // alike in every node
    }
  }
  expect_correct(flat, "flat ring");
  for (const A a : {A::Hierarchical, A::ThreePhase}) {
    r.algorithm = a;
    expect_correct(plan_collective(r), "two levels with channels");
  }
}

/// Channels that enter or leave a node through each NIC, with `gpus_per_nic` neighbouring GPUs on one.
std::vector<int> doors(const CollectivePlan& plan, int node, int gpus_per_nic, bool in) {
  std::vector<int> uses(static_cast<std::size_t>(node / gpus_per_nic));
  for (const auto& order : plan.phases[0].orders)
    ++uses[static_cast<std::size_t>((in ? order[0] : order[static_cast<std::size_t>(node) - 1]) / gpus_per_nic)];
  return uses;
}

TEST(Collective, FlatRingSpreadsItsChannelsOverTheNics) {
  // ABCI: six rings, NICs shared by GPUs 0, 1 and 2, 3: three in and three out on each. (node_rings() of 2 links per
  // pair.)
  CollectiveRequest r = request(A::Ring, A::Ring, 16, 4, 100);
  r.ring_orders = {{0, 1, 2, 3}, {0, 3, 2, 1}, {0, 1, 3, 2}, {0, 2, 3, 1}, {0, 2, 1, 3}, {0, 3, 1, 2}};
  const CollectivePlan abci = plan_collective(r);
  for (const bool in : {true, false}) EXPECT_EQ(doors(abci, 4, 2, in), (std::vector<int>{3, 3}));
  // Eight channels around a switch of eight GPUs, all in rank order: one per GPU each way.
  r = request(A::Ring, A::Ring, 16, 8, 100);
  r.ring_orders.assign(8, {0, 1, 2, 3, 4, 5, 6, 7});
  for (const bool in : {true, false}) EXPECT_EQ(doors(plan_collective(r), 8, 1, in), std::vector<int>(8, 1));
}

TEST(Collective, LastNodeMayBeShort) {
  // 10 ranks on nodes of 4: the last node has GPUs 0 and 1 only, and both channels go on.
  CollectiveRequest r = request(A::Ring, A::Ring, 10, 4, 23);
  r.ring_orders = {{0, 1, 2, 3}, {0, 3, 2, 1}};
  const CollectivePlan plan = plan_collective(r);
  ASSERT_EQ(plan.phases[0].orders.size(), 2u);
  for (const auto& order : plan.phases[0].orders) EXPECT_EQ(std::min(order[8], order[9]), 8);
  expect_correct(plan, "short last node");
}

TEST(Collective, InOneNodeRingsStayAsTheyAre) {
  CollectiveRequest r = request(A::Ring, A::Ring, 4, 4, 23);
  r.ring_orders = {{0, 1, 2, 3}, {0, 3, 2, 1}};
  EXPECT_EQ(plan_collective(r).phases[0].orders[1], r.ring_orders[1]);
}

TEST(Collective, RandomRequestsAreCorrectAndCounted) {
  EXPECT_TRUE(rc::check([] {
    const auto kind = *rc::gen::elementOf(kKinds);
    CollectiveRequest r = request(kind.algorithm, kind.across, *rc::gen::inRange(1, 25), *rc::gen::inRange(1, 9),
                                  *rc::gen::inRange(0, 60), *rc::gen::inRange(1, 12));
    r.torus_x = *rc::gen::inRange(0, 7);
    const int local = std::min(r.node_gpus, r.world_size);
    for (int c = *rc::gen::inRange(0, 4); c > 0; --c) {
      std::vector<int> order(static_cast<std::size_t>(local));
      for (int i = 0; i < local; ++i) order[static_cast<std::size_t>(i)] = c % 2 ? i : local - 1 - i;
      r.ring_orders.push_back(order);
    }
    const CollectivePlan plan = plan_collective(r);
    const auto fault = check(plan);
    if (fault) RC_FAIL(*fault);
    const CollectiveCount walked = walk(plan), counted = count(plan);
    RC_ASSERT(walked.messages == counted.messages);
    RC_ASSERT(walked.elements_sent == counted.elements_sent);
    RC_ASSERT(walked.elements_reduced == counted.elements_reduced);
    RC_ASSERT(walked.longest == counted.longest);
    RC_ASSERT(r.world_size == 1 || counted.elements_reduced == (r.world_size - 1) * r.elements);
  }));
}

TEST(Collective, NamesSayWhatHappens) {
  CollectiveRequest r = request(A::ThreePhase, A::HalvingDoubling, 16, 4, 100);
  r.ring_orders = {{0, 1, 2, 3}, {0, 3, 2, 1}};
  const CollectivePlan plan = plan_collective(r);
  ASSERT_EQ(plan.phases.size(), 3u);
  EXPECT_EQ(plan.phases[0].name(), "reduce in rows (ring x2)");
  EXPECT_EQ(plan.phases[1].name(), "allreduce of leaders (halving-doubling)");
  EXPECT_EQ(plan.phases[2].name(), "broadcast in rows (ring x2)");
}

TEST(Collective, RingCountsByTheTextbook) {
  // n = 8, E = 1000: 2 (n - 1) = 14 steps, n x 14 = 112 messages, 2 (n - 1) E = 14,000 elements sent, (n - 1) E = 7,000
  // added.
  const CollectiveCount c = count(plan_collective(request(A::Ring, A::Ring, 8, 1, 1000)));
  EXPECT_EQ(c.longest, 14);
  EXPECT_EQ(c.messages, 112);
  EXPECT_EQ(c.elements_sent, 14000);
  EXPECT_EQ(c.elements_reduced, 7000);
}

TEST(Collective, FlatRingOver2048RanksHas8MillionMessages) {
  EXPECT_EQ(count(plan_collective(request(A::Ring, A::Ring, 2048, 1, 25557032))).messages,
            2048LL * 2 * 2047);  // 8,384,512
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
  // 44 = 32 + 8 + 4: the block of 32 takes 2 x 5 steps inside and two messages with the block of 8 (its sum in, the
  // total out).
  const CollectivePlan plan = plan_collective(request(A::HalvingDoubling, A::Ring, 44, 1, 88));
  const Schedule s = plan.schedule(plan.phases[0], Rank(0));
  EXPECT_EQ(s.steps(0, 0), 12);
  // A member of the block of 8 (members 32 to 39): 2 x 3 inside, 2 x 32 / 8 with the larger block, 2 with the smaller
  // one.
  EXPECT_EQ(s.steps(32, 0), 6 + 8 + 2);
  // A member of the block of 4: 2 x 2 inside, 2 x 8 / 4 with the larger block.
  EXPECT_EQ(s.steps(40, 0), 4 + 4);
}

TEST(Collective, TreeCountsByTheTextbook) {
  // n = 8, E = 1000, chunk 200: two trees of 500 = 3 chunks each; 7 edges, up and down: 2 x 7 x 3 x 2 messages, 2 (n -
  // 1) E sent.
  const CollectiveCount c = count(plan_collective(request(A::Tree, A::Ring, 8, 1, 1000, 200)));
  EXPECT_EQ(c.messages, 84);
  EXPECT_EQ(c.elements_sent, 14000);
  EXPECT_EQ(c.elements_reduced, 7000);
  EXPECT_EQ(c.longest, 3);
}

TEST(Collective, TwoLevelCountsByTheTextbook) {
  // 2 nodes of 4, E = 80. Reduce-scatter: 8 ranks x 3 messages of 20; ring of 2 across on 20: 8 x 2 messages of 10;
  // all-gather as first.
  const CollectiveCount h = count(plan_collective(request(A::Hierarchical, A::Ring, 8, 4, 80)));
  EXPECT_EQ(h.messages, 24 + 16 + 24);
  EXPECT_EQ(h.elements_sent, 480 + 160 + 480);
  EXPECT_EQ(h.elements_reduced, 480 + 80);
  EXPECT_EQ(h.longest, 3 + 2 + 3);
  // A torus with rows of 2: 8 x 1 x 40, ring of 4 on 40: 8 x 6 x 10, 8 x 1 x 40.
  CollectiveRequest r = request(A::Torus, A::Ring, 8, 4, 80);
  r.torus_x = 2;
  const CollectiveCount t = count(plan_collective(r));
  EXPECT_EQ(t.messages, 8 + 48 + 8);
  EXPECT_EQ(t.elements_sent, 320 + 480 + 320);
  EXPECT_EQ(t.longest, 1 + 6 + 1);
  // Three phases, chunk 40: chains of 3 hops x 2 chunks in 2 nodes; 2 leaders exchange halves, 2 messages each; chains
  // back.
  const CollectiveCount g = count(plan_collective(request(A::ThreePhase, A::HalvingDoubling, 8, 4, 80, 40)));
  EXPECT_EQ(g.messages, 12 + 4 + 12);
  EXPECT_EQ(g.elements_sent, 480 + 160 + 480);
  EXPECT_EQ(g.elements_reduced, 480 + 80);
  EXPECT_EQ(g.longest, 2 + 2 + 2);
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
