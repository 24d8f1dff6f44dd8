#include "core/plan/tree_chunk.hpp"

#include <gtest/gtest.h>

#include "core/plan/collective.hpp"

namespace lockstep {
namespace {

// 32 MiB over two channels and 10 levels: 512 KiB give 32 chunks, 256 KiB 64, 128 KiB 128 >= 8 x 10.
TEST(TreeChunk, IsHalvedUntilThereIsEnoughForTheDepth) {
  const Bytes largest = Bytes::kib(512);
  EXPECT_EQ(tree_chunk(Bytes::mib(32), largest, 2, 10), 128 << 10);
  EXPECT_EQ(tree_chunk(Bytes::mib(32), largest, 2, 4), 512 << 10);     // 32 >= 8 x 4
  EXPECT_EQ(tree_chunk(Bytes::mib(1024), largest, 2, 40), 512 << 10);  // 1,024
  // 4 MiB: 128 KiB give 16 chunks, below 4 x 10, 64 KiB give 32, which is the floor of that rule and above 1 x 10.
  EXPECT_EQ(tree_chunk(Bytes::mib(4), largest, 2, 10), 64 << 10);
  EXPECT_EQ(tree_chunk(Bytes::kib(8), largest, 2, 10), 32 << 10);  // never less
}

// 25 MiB on 512 nodes of 4. Tree of nodes: 3 + 10 levels, 2 channels: 128 KiB give 100 chunks, below 8 x 13, but that is the floor.
// Hierarchical: 6.25 MiB across, 10 levels, one channel: 128 KiB give 50, below 80; 64 KiB are for less than 40.
TEST(TreeChunk, PlansTakeItWhereNoChunkIsGiven) {
  CollectiveRequest r;
  r.algorithm = AllreduceAlgorithm::NodeTree;
  r.world_size = 2048;
  r.node_gpus = 4;
  r.elements = Bytes::mib(25).count() / 2;
  r.element_bytes = 2;
  r.ring_orders = {{0, 1, 2, 3}, {3, 2, 1, 0}};
  EXPECT_EQ(plan_collective(r).phases.front().chunk * 2, 128 << 10);
  r.algorithm = AllreduceAlgorithm::Hierarchical;
  r.across = AllreduceAlgorithm::Tree;
  EXPECT_EQ(plan_collective(r).phases[1].chunk * 2, 128 << 10);
  r.chunk = 1000;
  EXPECT_EQ(plan_collective(r).phases[1].chunk, 1000);
  // Three full nodes and a short one are four members of a tree: 3 + 3 levels. Of 5.5 MiB 128 KiB give 22 chunks, below 4 x 6 but not below 4 x 5.
  r.chunk = 0;
  r.algorithm = AllreduceAlgorithm::NodeTree;
  r.world_size = 14;
  r.elements = Bytes::kib(5632).count() / 2;
  EXPECT_EQ(plan_collective(r).phases.front().chunk * 2, 64 << 10);
  // Chains of three_phase keep the largest: their pipeline has few levels.
  r.chunk = 0;
  r.algorithm = AllreduceAlgorithm::ThreePhase;
  EXPECT_EQ(plan_collective(r).phases.front().chunk * 2, 512 << 10);
}

}  // namespace
}  // namespace lockstep
