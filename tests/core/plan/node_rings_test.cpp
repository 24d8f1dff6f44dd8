#include "core/plan/node_rings.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

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
  return mesh(8, {{0, 1, 2},
                  {0, 2, 1},
                  {0, 3, 1},
                  {0, 4, 2},
                  {1, 2, 1},
                  {1, 3, 2},
                  {1, 5, 1},
                  {2, 3, 2},
                  {2, 6, 2},
                  {3, 7, 1},
                  {4, 5, 2},
                  {4, 6, 1},
                  {4, 7, 1},
                  {5, 6, 1},
                  {5, 7, 2},
                  {6, 7, 2}});
}

// DGX-1 with P100, recalled: two fully joined quads and four edges between them, one NVLink1 each; every GPU has 4.
NodeSpec dgx1p() {
  return mesh(8, {{0, 1, 1},
                  {0, 2, 1},
                  {0, 3, 1},
                  {1, 2, 1},
                  {1, 3, 1},
                  {2, 3, 1},
                  {4, 5, 1},
                  {4, 6, 1},
                  {4, 7, 1},
                  {5, 6, 1},
                  {5, 7, 1},
                  {6, 7, 1},
                  {0, 4, 1},
                  {1, 5, 1},
                  {2, 6, 1},
                  {3, 7, 1}});
}

// Another 8 x V100 server, numbered otherwise: NCCL topology dump in JF-D/Proteus.
NodeSpec other_v100() {
  return mesh(8, {{0, 1, 1},
                  {0, 2, 2},
                  {0, 3, 1},
                  {0, 7, 2},
                  {1, 2, 1},
                  {1, 3, 2},
                  {1, 6, 2},
                  {2, 3, 2},
                  {2, 5, 1},
                  {3, 4, 1},
                  {4, 5, 2},
                  {4, 6, 2},
                  {4, 7, 1},
                  {5, 6, 1},
                  {5, 7, 2},
                  {6, 7, 1}});
}

/// Each ring is a permutation and no cable carries more rings in one direction than it has links. Returns uses per
/// direction.
std::map<std::pair<int, int>, int> expect_valid(const NodeSpec& node, int gpus,
                                                const std::vector<std::vector<int>>& rings) {
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
  // GPU 4 reaches only GPU 0 of the first four, so no NVLink cycle joins the first five: one ring in PCIe order
  // remains.
  EXPECT_EQ(node_rings(dgx1v(), 2).size(), 2u);
  EXPECT_EQ(node_rings(dgx1v(), 4).size(), 4u);
  expect_valid(dgx1v(), 4, node_rings(dgx1v(), 4));
  EXPECT_EQ(node_rings(dgx1v(), 5).size(), 1u);
  // The other numbering joins GPUs 0 and 1 by one cable only: vTrain's table has 22.6 GB/s on 2 GPUs, one NVLink2.
  EXPECT_EQ(node_rings(other_v100(), 2).size(), 1u);
  EXPECT_EQ(node_rings(other_v100(), 4).size(), 4u);
  EXPECT_EQ(node_rings(other_v100(), 5).size(), 1u);
}

// Five GPUs of the mesh have no NVLink ring but a path: GPU 4 hangs on one of the first four.
TEST(NodeChains, APathWhereThereIsNoRing) {
  for (const NodeSpec& node : {dgx1v(), other_v100()}) {
    const auto chains = node_chains(node, 5);
    ASSERT_EQ(chains.size(), 1u);
    std::set<int> seen(chains[0].begin(), chains[0].end());
    EXPECT_EQ(seen.size(), 5u);
    for (std::size_t i = 0; i + 1 < chains[0].size(); ++i) {
      int links = 0;
      for (const auto& p : node.nvlink.pairs) {
        if (std::minmax(p.a, p.b) == std::minmax(chains[0][i], chains[0][i + 1])) links += p.links;
      }
      EXPECT_GT(links, 0);
    }
    EXPECT_EQ(node_chains(node, 8), node_rings(node, 8));  // rings serve as chains
  }
}

TEST(NodeRings, EveryMeshUsesAllItsCables) {
  // Degrees of 6 and 4: three and two cycles, both ways; 8 hops each make 48 of 2 x 24 and 32 of 2 x 16 directed
  // cables.
  const auto hops = [](const NodeSpec& node) {
    const auto rings = node_rings(node, node.gpus);
    int sum = 0;
    for (const auto& [edge, n] : expect_valid(node, node.gpus, rings)) sum += n;
    return std::pair{rings.size(), sum};
  };
  EXPECT_EQ(hops(dgx1v()), (std::pair{std::size_t{6}, 48}));
  EXPECT_EQ(hops(other_v100()), (std::pair{std::size_t{6}, 48}));
  EXPECT_EQ(hops(dgx1p()), (std::pair{std::size_t{4}, 32}));
}

TEST(NodeRings, AnySubsetIsValid) {
  for (const NodeSpec& node : {abci(), dgx1v(), dgx1p(), other_v100()}) {
    for (int gpus = 1; gpus <= node.gpus; ++gpus) {
      const auto rings = node_rings(node, gpus);
      ASSERT_FALSE(rings.empty());
      if (rings.size() > 1) expect_valid(node, gpus, rings);
      EXPECT_EQ(rings, node_rings(node, gpus));
      EXPECT_EQ(node_rings(node, gpus, 1).size(), 1u);
      EXPECT_LE(node_rings(node, gpus, 3).size(), 3u);
      for (const auto& ring : rings) EXPECT_EQ(ring.size(), static_cast<std::size_t>(gpus));
    }
  }
}

TEST(NodeRings, ThreeGpusOfAbci) {
  // A triangle of double cables: 2 cycles, 4 rings.
  EXPECT_EQ(node_rings(abci(), 3).size(), 4u);
}

TEST(NodeRings, OddMeshesEndQuickly) {
  // Two full quads joined by one cable have no cycle of all eight; K8 with 4 cables per pair has 14 (28 cables per
  // GPU).
  std::vector<NvlinkPair> quads, full;
  for (int a = 0; a < 8; ++a) {
    for (int b = a + 1; b < 8; ++b) {
      full.push_back({a, b, 4});
      if (a / 4 == b / 4) quads.push_back({a, b, 2});
    }
  }
  quads.push_back({0, 4, 1});
  EXPECT_EQ(node_rings(mesh(8, quads), 8).size(), 1u);
  const auto rings = node_rings(mesh(8, full), 8);
  expect_valid(mesh(8, full), 8, rings);
  EXPECT_EQ(rings.size(), 28u);
}

TEST(NodeRings, SwitchGivesOneRingPerLink) {
  NodeSpec node;
  node.gpus = 16;
  node.nvlink.present = node.nvlink.through_switch = true;
  node.nvlink.links_per_gpu = 6;
  EXPECT_EQ(node_rings(node, 16).size(), 6u);
  const auto two = node_rings(node, 16, 2);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0][0], 0);
  EXPECT_EQ(two[1][0], 8);  // rotated by 1 x 16 / 2
  EXPECT_EQ(two[1][15], 7);
}

TEST(NodeRings, WithoutNvlinkInPcieOrder) {
  NodeSpec node;
  node.gpus = 4;
  node.pcie.switches = {{0, 2}, {1, 3}};
  EXPECT_EQ(node_rings(node, 4), (std::vector<std::vector<int>>{{0, 2, 1, 3}}));
  // PCIe of 25 GB/s keeps two NICs of 12 busy, one of them under the last GPU of each order: 3, and 2.
  node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(25));
  node.nic.count = 2;
  node.nic.nic_of_gpu = {0, 0, 1, 1};
  node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  EXPECT_EQ(node_rings(node, 4, 2), (std::vector<std::vector<int>>{{0, 2, 1, 3}, {1, 3, 0, 2}}));
  EXPECT_EQ(node_rings(node, 4).size(), 1u);
  EXPECT_EQ(node_rings(node, 4, 9).size(), 2u);
  EXPECT_EQ(node_rings(node, 2, 9).size(), 1u);  // two GPUs of one NIC
  node.pcie.host_link = Sourced(Bandwidth::gigabytes_per_second(20));
  EXPECT_EQ(node_rings(node, 4, 9).size(), 1u);
}

}  // namespace
}  // namespace lockstep
