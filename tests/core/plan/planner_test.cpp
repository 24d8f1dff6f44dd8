#include "core/plan/planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using A = AllreduceAlgorithm;
using ::testing::ElementsAre;

/// Four GPUs behind two adapters.
NodeSpec node_of_four() {
  NodeSpec node;
  node.gpus = 4;
  node.nvlink.present = true;
  node.nvlink.pairs = {{0, 1, 2}, {0, 2, 2}, {0, 3, 2}, {1, 2, 2}, {1, 3, 2}, {2, 3, 2}};
  node.nic.count = 2;
  node.nic.nic_of_gpu = {0, 0, 1, 1};
  return node;
}

std::vector<CollectivePlan> candidates(const RunSpec& run, const NodeSpec& node) {
  return allreduce_candidates(run, node, gpus_per_node_used(run, node), 1 << 20, 4, nullptr);
}

std::vector<A> algorithms(int gpus, const NodeSpec& node) {
  RunSpec run;
  run.cluster.gpus = gpus;
  std::vector<A> out;
  for (const CollectivePlan& plan : candidates(run, node)) out.push_back(plan.algorithm);
  return out;
}

TEST(Planner, AutoTakesTreesOfNodesOverNodesOfSeveralGpus) {
  NodeSpec one = node_of_four();
  one.gpus = 1;
  one.nvlink = {};
  one.nic = {};
  EXPECT_THAT(algorithms(4, node_of_four()), ElementsAre(A::Ring, A::HalvingDoubling, A::Tree));
  const auto over_nodes = ElementsAre(A::Ring, A::HalvingDoubling, A::NodeTree, A::Hierarchical, A::Hierarchical,
                                      A::Hierarchical);  // ring, halving-doubling and tree across
  EXPECT_THAT(algorithms(16, node_of_four()), over_nodes);
  EXPECT_THAT(algorithms(14, node_of_four()), over_nodes);
  EXPECT_EQ(algorithms(4, one)[2], A::Tree);
}

// Two adapters, so two chains whose heads lie behind different ones; inside one node as many as the cables give.
TEST(Planner, HeadsOfTreesOfNodesTakeTheAdaptersInTurn) {
  const NodeSpec node = node_of_four();
  RunSpec run;
  run.cluster.gpus = 14;
  run.allreduce.algorithm = A::NodeTree;
  const Phase over = candidates(run, node).front().phases.front();
  ASSERT_EQ(over.orders.channels(), 2);
  EXPECT_NE(node.nic_of(over.orders[0].front()), node.nic_of(over.orders[1].front()));
  ASSERT_EQ(over.last_orders.channels(), 2);
  EXPECT_EQ(over.last_orders[0].size(), 2u);  // of the last node's two GPUs
  run.cluster.gpus = 4;
  EXPECT_GT(candidates(run, node).front().phases.front().orders.channels(), 2);
}

// 4 MiB over two chains and 3 + 3 levels (four nodes): 512 KiB give 4 chunks, 128 KiB 16, 64 KiB 32 >= 4 x 6.
TEST(Planner, ChunksOfTreesAreTheRunsOrFollowTheSize) {
  RunSpec run;
  run.cluster.gpus = 16;
  run.allreduce.algorithm = A::NodeTree;
  const auto chunk = [&] { return candidates(run, node_of_four()).front().phases.front().chunk * 4; };
  EXPECT_EQ(chunk(), 64 << 10);
  run.allreduce.chunk = Bytes::kib(256);
  EXPECT_EQ(chunk(), 256 << 10);
}

}  // namespace
}  // namespace lockstep
