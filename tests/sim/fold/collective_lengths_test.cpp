// Lengths from few nodes against the whole simulation.
#include "sim/fold/collective_lengths.hpp"

#include <gtest/gtest.h>

#include "core/plan/node_rings.hpp"

namespace lockstep::sim {
namespace {

/// Nodes of four GPUs, every pair joined by two NVLinks; two NICs behind one ideal switch, or behind leaves of four ports with half
/// as much bandwidth upwards.
ClusterSpec cluster(int nodes, bool tapered) {
  ClusterSpec c;
  c.name = "small";
  c.nodes = nodes;
  c.node.gpus = 4;
  c.node.nvlink.present = true;
  c.node.nvlink.pairs = {{0, 1, 2}, {0, 2, 2}, {0, 3, 2}, {1, 2, 2}, {1, 3, 2}, {2, 3, 2}};
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(23));
  c.node.nic.count = 2;
  c.node.nic.nic_of_gpu = {0, 0, 1, 1};
  c.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  c.node.nic.latency = Sourced(Time::nanoseconds(200));
  c.network.kind = tapered ? NetworkKind::FatTree : NetworkKind::Star;
  TierSpec leaf;
  leaf.name = "leaf";
  leaf.group = 8;
  leaf.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  leaf.hop = Sourced(Time::nanoseconds(90));
  c.network.tiers.push_back(leaf);
  if (tapered) {
    TierSpec spine = leaf;
    spine.name = "spine";
    spine.group = 0;
    spine.switches = 2;
    spine.cables = 2;
    c.network.tiers.push_back(spine);
  }
  return c;
}

EngineSettings settings_of(int world) {
  EngineSettings s;
  s.library.name = "small";
  ProtocolSpec p;
  p.name = "simple";
  p.ring_base = Time::microseconds(2);
  p.tree_base = Time::microseconds(3);
  p.ring_nvlink = p.tree_nvlink = Time::nanoseconds(1700);
  p.ring_network = p.tree_network = Time::nanoseconds(3300);
  s.library.protocols.push_back(p);
  s.gpus_per_node = 4;
  for (int r = 0; r < world; ++r) s.gpu_of_rank.push_back(r);
  return s;
}

/// Folded over whole, for one algorithm.
double ratio(const ClusterSpec& c, AllreduceAlgorithm algorithm, AllreduceAlgorithm across, std::int64_t elements) {
  CollectiveRequest r;
  r.algorithm = algorithm;
  r.across = across;
  r.world_size = 4 * c.nodes;
  r.node_gpus = 4;
  r.elements = elements;
  r.chunk = 65536;
  r.ring_orders = node_rings(c.node, 4);
  const CollectivePlan plan = plan_collective(r);
  Fabric fabric(c, c.nodes, Routing::Static, 1);
  const EngineSettings settings = settings_of(r.world_size);
  const Time folded = CollectiveLengths(fabric, settings).of(plan, 0);
  return folded / bare_collective_time(fabric, settings, plan, 0);
}

using A = AllreduceAlgorithm;

TEST(CollectiveLengthsSlow, BehindOneSwitchTheyAreThoseOfAllRanks) {
  // 48 nodes, not a power of two. Rings across nodes: all nodes are alike, so only the lengths of pieces and
  // the prolonging are approximate. A flat ring of several channels: pieces that differ by one element let the nodes of the whole
  // simulation drift apart, so that channels meet less often at a NIC; folded nodes never do (192 ranks: 6.7 % too long).
  // Halving and doubling: blocks of 32 and 16 disturb each other at the NICs, which is left out. Tree: one node for all of its
  // depth and height, though what sits beside them in an uneven tree differs.
  const ClusterSpec c = cluster(48, false);
  for (const std::int64_t elements : {200'000, 3'000'000}) {
    EXPECT_NEAR(ratio(c, A::Ring, A::Ring, elements), 1, 0.08) << elements;
    EXPECT_NEAR(ratio(c, A::Hierarchical, A::Ring, elements), 1, 0.01) << elements;
    EXPECT_NEAR(ratio(c, A::Hierarchical, A::Tree, elements), 1, 0.05) << elements;
    EXPECT_NEAR(ratio(c, A::ThreePhase, A::Tree, elements), 1, 0.05) << elements;
    EXPECT_NEAR(ratio(c, A::Hierarchical, A::HalvingDoubling, elements), 1, 0.02) << elements;
    EXPECT_NEAR(ratio(c, A::ThreePhase, A::HalvingDoubling, elements), 1, 0.02) << elements;
  }
}

TEST(CollectiveLengths, SharedCablesAreSeen) {
  // Half the bandwidth between leaves: halving and doubling takes longer than behind an ideal switch, folded too.
  CollectiveRequest r;
  r.algorithm = A::HalvingDoubling;
  r.world_size = 128;
  r.elements = 2'000'000;
  const CollectivePlan plan = plan_collective(r);
  const EngineSettings settings = settings_of(128);
  Fabric ideal(cluster(32, false), 32, Routing::Static, 1), tapered(cluster(32, true), 32, Routing::Static, 1);
  EXPECT_GT(CollectiveLengths(tapered, settings).of(plan, 0), CollectiveLengths(ideal, settings).of(plan, 0) * 1.2);
}

TEST(CollectiveLengths, SmallCollectivesAreSimulatedWhole) {
  const ClusterSpec c = cluster(4, true);
  EXPECT_EQ(ratio(c, A::Hierarchical, A::Tree, 30'000), 1);
}

TEST(CollectiveLengths, TheSecondBucketIsAsLongAsItWouldBeAlone) {
  CollectiveRequest r;
  r.algorithm = A::Hierarchical;
  r.across = A::Tree;
  r.world_size = 192;
  r.node_gpus = 4;
  const ClusterSpec c = cluster(48, true);
  Fabric fabric(c, 48, Routing::Static, 1);
  const EngineSettings settings = settings_of(192);
  CollectiveLengths lengths(fabric, settings);
  r.elements = 1'000'000;
  const CollectivePlan first = plan_collective(r);
  r.elements = 2'500'000;
  const CollectivePlan second = plan_collective(r);
  lengths.of(first, 0);
  EXPECT_EQ(lengths.of(second, 0), CollectiveLengths(fabric, settings).of(second, 0));
}

}  // namespace
}  // namespace lockstep::sim
