#include "core/plan/node_rings.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace lockstep {
namespace {

NodeSpec mesh(int gpus, std::vector<NvlinkPair> pairs) {
  NodeSpec node;
  node.gpus = gpus;
  node.nvlink.present = true;
  node.nvlink.pairs = std::move(pairs);
  return node;
}

NodeSpec abci() { return mesh(4, {{0, 1, 2}, {0, 2, 2}, {0, 3, 2}, {1, 2, 2}, {1, 3, 2}, {2, 3, 2}}); }

// Cable counts of DGX-1V: microsoft/taccl generic.py; every GPU has 6.
NodeSpec dgx1v() {
  return mesh(8, {{0, 1, 2}, {0, 2, 1}, {0, 3, 1}, {0, 4, 2}, {1, 2, 1}, {1, 3, 2}, {1, 5, 1}, {2, 3, 2},
                  {2, 6, 2}, {3, 7, 1}, {4, 5, 2}, {4, 6, 1}, {4, 7, 1}, {5, 6, 1}, {5, 7, 2}, {6, 7, 2}});
}

/// Each ring is a permutation and no cable carries more rings in one direction than it has links. Returns uses per direction.
std::map<std::pair<int, int>, int> expect_valid(const NodeSpec& node, int gpus, const std::vector<std::vector<int>>& rings) {
  std::map<std::pair<int, int>, int> links, used;
  for (const auto& p : node.nvlink.pairs) links[{p.a, p.b}] = links[{p.b, p.a}] = p.links;
  for (const auto& ring : rings) {
    std::vector<int> sorted = ring;
    std::sort(sorted.begin(), sorted.end());
    for (int g = 0; g < gpus; ++g) EXPECT_EQ(sorted[static_cast<std::size_t>(g)], g);
    for (std::size_t i = 0; i < ring.size(); ++i) ++used[{ring[i], ring[(i + 1) % ring.size()]}];
  }
  for (const auto& [edge, n] : used) EXPECT_LE(n, links[edge]) << edge.first << " to " << edge.second;
  return used;
}

TEST(NodeRings, AbciUsesEveryCableOnceInEachDirection) {
  // 4 GPUs with 6 links each: 6 rings of 4 hops fill all 24 directed links.
  const auto rings = node_rings(abci(), 4);
  EXPECT_EQ(rings.size(), 6u);
  int hops = 0;
  for (const auto& [edge, n] : expect_valid(abci(), 4, rings)) hops += n;
  EXPECT_EQ(hops, 24);
}

TEST(NodeRings, Dgx1vHasSixRings) {
  const auto rings = node_rings(dgx1v(), 8);
  EXPECT_EQ(rings.size(), 6u);
  expect_valid(dgx1v(), 8, rings);
}

TEST(NodeRings, PartsOfTheMeshAreNarrow) {
  // GPU 4 reaches only GPU 0 of the first four, so no NVLink cycle joins the first five: one ring in PCIe order remains.
  EXPECT_EQ(node_rings(dgx1v(), 2).size(), 2u);
  EXPECT_EQ(node_rings(dgx1v(), 4).size(), 4u);
  expect_valid(dgx1v(), 4, node_rings(dgx1v(), 4));
  EXPECT_EQ(node_rings(dgx1v(), 5).size(), 1u);
}

TEST(NodeRings, SwitchGivesOneRingPerLink) {
  NodeSpec node;
  node.gpus = 16;
  node.nvlink.present = node.nvlink.through_switch = true;
  node.nvlink.links_per_gpu = 6;
  EXPECT_EQ(node_rings(node, 16).size(), 6u);
  EXPECT_EQ(node_rings(node, 16, 2).size(), 2u);
}

TEST(NodeRings, WithoutNvlinkInPcieOrder) {
  NodeSpec node;
  node.gpus = 4;
  node.pcie.switches = {{0, 2}, {1, 3}};
  EXPECT_EQ(node_rings(node, 4), (std::vector<std::vector<int>>{{0, 2, 1, 3}}));
}

}  // namespace
}  // namespace lockstep
