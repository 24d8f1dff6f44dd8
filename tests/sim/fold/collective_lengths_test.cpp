// Lengths from few nodes against the whole simulation.
#include "sim/fold/collective_lengths.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/rng.hpp"
#include "core/plan/node_rings.hpp"
#include "sim/fold/exact.hpp"
#include "sim/fold/exchanges.hpp"

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
  p.ring.base = Time::microseconds(2);
  p.tree.base = Time::microseconds(3);
  p.ring.nvlink = p.tree.nvlink = Time::nanoseconds(1700);
  p.ring.network = p.tree.network = Time::nanoseconds(3300);
  s.library.protocols.push_back(p);
  s.gpus_per_node = 4;
  for (int r = 0; r < world; ++r) s.gpu_of_rank.push_back(r);
  return s;
}

CollectivePlan plan_of(const ClusterSpec& c, AllreduceAlgorithm algorithm, AllreduceAlgorithm across,
                       std::int64_t elements) {
  CollectiveRequest r;
  r.algorithm = algorithm;
  r.across = across;
  r.world_size = 4 * c.nodes;
  r.node_gpus = 4;
  r.elements = elements;
  r.chunk = 65536;
  r.ring_orders = node_rings(c.node, 4);
  return plan_collective(r);
}

/// From the last entry to the last exit, every rank simulated.
Time whole(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Leads& leads) {
  if (leads.empty()) return bare_collective_time(fabric, settings, plan, 0);
  const Time last = *std::max_element(leads.begin(), leads.end());
  std::vector<Time> entries;
  for (const Time lead : leads) entries.push_back(last - lead);
  return bare_collective_time(fabric, settings, plan, 0, entries) - last;
}

/// Folded over whole, for one algorithm.
double ratio(const ClusterSpec& c, AllreduceAlgorithm algorithm, AllreduceAlgorithm across, std::int64_t elements,
             const Leads& leads = {}) {
  const CollectivePlan plan = plan_of(c, algorithm, across, elements);
  Fabric fabric(c, c.nodes, Routing::Static, 1);
  const EngineSettings settings = settings_of(plan.grid.size());
  return CollectiveLengths(fabric, settings).of(plan, 0, leads) / whole(fabric, settings, plan, leads);
}

/// Ranks whose compute times spread by `sigma` about a common mean.
Leads normal_leads(int ranks, Time sigma, std::uint64_t seed) {
  Rng rng(seed, "leads");
  std::vector<double> late;
  for (int r = 0; r < ranks; ++r) late.push_back(rng.normal());
  const double last = *std::max_element(late.begin(), late.end());
  Leads leads;
  for (const double z : late) leads.push_back(sigma * (last - z));
  return leads;
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

/// Mean over seeds 0 to 2, over ranks that come `sigma` apart behind one switch and below tapered leaves: folded over whole.
double late_ratio(A algorithm, A across, Time sigma) {
  double sum = 0;
  for (const bool tapered : {false, true}) {
    for (std::uint64_t seed = 0; seed < 3; ++seed)
      sum += ratio(cluster(48, tapered), algorithm, across, 3'000'000, normal_leads(192, sigma, seed));
  }
  return sum / 6;
}

TEST(CollectiveLengthsSlow, WhoComesLateMeetsFewerMessages) {
  // 12 MB, 20 and 500 us. Over seeds 0 to 4 and each network apart, means are 0.978 to 1.005 (trees) and 0.998 to 1.035 (exchanges); single cases 0.949
  // to 1.038 and 0.971 to 1.112. With a common entry instead they would be up to 1.09 and 0.86 to 1.10.
  for (const double sigma : {20., 500.}) {
    const Time t = Time::microseconds(1) * sigma;
    EXPECT_NEAR(late_ratio(A::Hierarchical, A::Tree, t), 1, 0.03) << sigma;
    EXPECT_NEAR(late_ratio(A::ThreePhase, A::Tree, t), 1, 0.03) << sigma;
    EXPECT_NEAR(late_ratio(A::Hierarchical, A::HalvingDoubling, t), 1, 0.04) << sigma;
    EXPECT_NEAR(late_ratio(A::ThreePhase, A::HalvingDoubling, t), 1, 0.04) << sigma;
  }
}

TEST(CollectiveLengthsSlow, RingsWaitForTheirLastRankAsIfAllWereLate) {
  // Phases of rings, whole: nothing of the last rank's round can be done before it comes. Folding itself: as with a common entry.
  const ClusterSpec c = cluster(48, false);
  Leads leads(192, Time::milliseconds(1));
  leads[77] = Time::zero();
  EXPECT_NEAR(ratio(c, A::Hierarchical, A::Ring, 3'000'000, leads), 1, 0.005);
}

TEST(CollectiveLengths, CommonEntryIsNoLead) {
  const ClusterSpec c = cluster(48, true);
  Fabric fabric(c, 48, Routing::Static, 1);
  const EngineSettings settings = settings_of(192);
  CollectiveLengths lengths(fabric, settings);
  for (const A across : {A::Ring, A::Tree, A::HalvingDoubling}) {
    const CollectivePlan plan = plan_of(c, A::Hierarchical, across, 300'000);
    EXPECT_EQ(lengths.of(plan, 0, Leads(192)), lengths.of(plan, 0));
  }
}

TEST(CollectiveLengths, OthersCannotBeMoreThanDone) {
  // All but rank 77 have been waiting for a second, or for two: by then each has done what it can.
  const ClusterSpec c = cluster(48, true);
  Fabric fabric(c, 48, Routing::Static, 1);
  const EngineSettings settings = settings_of(192);
  CollectiveLengths lengths(fabric, settings);
  for (const A across : {A::Tree, A::HalvingDoubling}) {
    const CollectivePlan plan = plan_of(c, A::Hierarchical, across, 300'000);
    Leads one(192, Time::seconds(1)), two(192, Time::seconds(2));
    one[77] = two[77] = Time::zero();
    const Time late = lengths.of(plan, 0, one);
    EXPECT_NEAR(late.seconds(), lengths.of(plan, 0, two).seconds(), 1e-9);
    EXPECT_LT(late, lengths.of(plan, 0));
  }
}

TEST(CollectiveLengths, SmallCollectivesAreSimulatedWholeWithTheirEntries) {
  const ClusterSpec c = cluster(4, true);
  EXPECT_EQ(ratio(c, A::Hierarchical, A::Tree, 30'000, normal_leads(16, Time::microseconds(40), 1)), 1);
}

/// Nodes whose four GPUs share a switch that adds and copies.
ClusterSpec adding_cluster(int nodes, bool tapered) {
  ClusterSpec c = cluster(nodes, tapered);
  c.node.nvlink.pairs.clear();
  c.node.nvlink.through_switch = c.node.nvlink.switch_adds = true;
  c.node.nvlink.links_per_gpu = 6;
  return c;
}

CollectivePlan nvls_plan(int nodes, std::int64_t elements = 3'000'000) {
  CollectiveRequest r;
  r.algorithm = A::Nvls;
  r.world_size = 4 * nodes;
  r.node_gpus = 4;
  r.elements = elements;
  r.nvls_chunk = 10'000;
  return plan_collective(r);
}

EngineSettings nvls_settings(int world) {
  EngineSettings s = settings_of(world);
  s.library.nvls.present = true;
  s.library.nvls.inside = Time::microseconds(3);
  s.library.nvls.network = Time::microseconds(9);
  s.library.nvls.share = Sourced(0.85);
  return s;
}

double nvls_ratio(int nodes, bool tapered, const Leads& leads = {}, std::int64_t elements = 3'000'000) {
  const CollectivePlan plan = nvls_plan(nodes, elements);
  Fabric fabric(adding_cluster(nodes, tapered), nodes, Routing::Static, 1);
  const EngineSettings settings = nvls_settings(4 * nodes);
  return CollectiveLengths(fabric, settings).of(plan, 0, leads) / whole(fabric, settings, plan, leads);
}

TEST(CollectiveLengths, NodesWhoseSwitchesAddStandForThoseOfTheirPlace) {
  // One node, and two, which differ in their places: nothing is folded, and every message, what it crosses and what it waits for is the engine's.
  EXPECT_EQ(nvls_ratio(1, false), 1);
  EXPECT_EQ(nvls_ratio(2, false), 1);
  EXPECT_EQ(nvls_ratio(2, false, normal_leads(8, Time::microseconds(100), 1)), 1);
  // Parts of 40 chunks and one element.
  EXPECT_EQ(nvls_ratio(2, false, {}, 8 * 400'001), 1);
  EXPECT_NEAR(nvls_ratio(12, false), 1, 0.005);
}

TEST(CollectiveLengths, ASwitchAddsForTwoGpusToo) {
  // One sender per head, as in a tree; but what it sends the switch has added, so the head's own rate of addition does not matter to it.
  ClusterSpec c = adding_cluster(2, false);
  c.node.gpus = 2;
  c.node.nic.nic_of_gpu = {0, 1};
  CollectiveRequest r;
  r.algorithm = A::Nvls;
  r.world_size = 4;
  r.node_gpus = 2;
  r.elements = 12'000'000;
  r.nvls_chunk = 10'000;
  const CollectivePlan plan = plan_collective(r);
  Fabric fabric(c, 2, Routing::Static, 1);
  EngineSettings settings = nvls_settings(4);
  settings.gpus_per_node = 2;
  settings.library.reduce = Sourced(Bandwidth::gigabytes_per_second(20));
  EXPECT_EQ(CollectiveLengths(fabric, settings).of(plan, 0), whole(fabric, settings, plan, {}));
}

TEST(CollectiveLengthsSlow, NodesWhoseSwitchesAddStandForThoseOfTheirPlaceInLargeTrees) {
  EXPECT_NEAR(nvls_ratio(48, false), 1, 0.005);
  EXPECT_NEAR(nvls_ratio(48, true), 1, 0.01);
  for (const double us : {20.0, 500.0}) {
    double sum = 0;
    for (std::uint64_t seed = 0; seed < 3; ++seed)
      sum += nvls_ratio(48, false, normal_leads(192, Time::microseconds(us), seed));
    EXPECT_NEAR(sum / 3, 1, 0.02) << us;
  }
}

TEST(ExactFold, LeavesWhatSwitchesAddAlone) {
  Fabric fabric(adding_cluster(6, false), 6, Routing::Static, 1);
  const auto plan = std::make_shared<const CollectivePlan>(nvls_plan(6));
  EXPECT_TRUE(plan->added_in_switches());
  EXPECT_EQ(exact_fold(fabric, nvls_settings(24), std::span(&plan, 1), std::vector<std::uint64_t>(24, 1)), nullptr);
}

TEST(Exchanges, GpusThatShareAnAdapterAreTwins) {
  // 32 nodes, GPUs 0 and 1 behind one NIC, 2 and 3 behind the other; inside a node each pair has links of its own.
  const ClusterSpec c = cluster(32, true);
  const CollectivePlan plan = plan_of(c, A::HalvingDoubling, A::Ring, 1'000'000);
  Fabric fabric(c, 32, Routing::Static, 1);
  const EngineSettings settings = settings_of(128);
  const Exchanges e = exchanges_of(fabric, settings, plan, plan.phases[0], settings.library.protocols[0]);
  EXPECT_EQ(e.rank.size(), 64u);
  EXPECT_EQ(e.sender[4], e.sender[5]);
  EXPECT_NE(e.sender[5], e.sender[6]);
  EXPECT_EQ(e.twins, std::vector<int>(64, 2));
}

TEST(Exchanges, UnequalBlocksEnd) {
  // 192 = 128 + 64: a rank of the smaller block sends to two of the larger one, which receive in different steps; twins must not be taken
  // for those who do not receive in the same step.
  const ClusterSpec c = cluster(48, false);
  Fabric fabric(c, 48, Routing::Static, 1);
  const EngineSettings settings = settings_of(192);
  const CollectivePlan plan = plan_of(c, A::HalvingDoubling, A::Ring, 3'000'000);
  EXPECT_GT(CollectiveLengths(fabric, settings).of(plan, 0), Time::zero());
}

TEST(Exchanges, TwoNodesByHand) {
  // 8 ranks, 8,000,000 bytes. Half of them between nodes, two GPUs on a NIC: 4 MB at 6 GB/s. Then 2 MB and 1 MB over NVLink at 46 GB/s. And all of it back.
  const ClusterSpec c = cluster(2, false);
  const CollectivePlan plan = plan_of(c, A::HalvingDoubling, A::Ring, 2'000'000);
  Fabric fabric(c, 2, Routing::Static, 1);
  const EngineSettings settings = settings_of(8);
  const double between = 4e6 / 6e9 + 3.3e-6 + fabric.route(0, 4).latency.seconds();
  const double inside = 3e6 / 46e9 + 2 * 1.7e-6;
  CollectiveLengths lengths(fabric, settings);
  EXPECT_NEAR(lengths.phase(plan, plan.phases[0], 0).seconds(), 2 * (between + inside), 1e-10);
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
