// Folded and whole simulations of random small cases: every rank ends at the same picosecond.
#include "sim/fold/exact.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/base/rng.hpp"
#include "core/plan/node_rings.hpp"

namespace lockstep::sim {
namespace {

struct Case {
  ClusterSpec cluster;
  EngineSettings settings;
  Staging staging;
  std::vector<std::shared_ptr<const CollectivePlan>> plans;
  std::vector<Time> entries;  // by rank, into every collective
  int world = 1;
};

/// Nodes of four GPUs: NVLink pairs (every pair, or a ring without diagonals: then PCIe too), two NICs, a star or a tapered tree.
ClusterSpec cluster(int nodes, bool all_pairs, bool tree) {
  ClusterSpec c;
  c.name = "small";
  c.nodes = nodes;
  c.node.gpus = 4;
  c.node.nvlink.present = true;
  c.node.nvlink.pairs = {{0, 1, 2}, {1, 2, 1}, {2, 3, 2}, {0, 3, 1}};
  if (all_pairs) c.node.nvlink.pairs = {{0, 1, 2}, {0, 2, 2}, {0, 3, 2}, {1, 2, 2}, {1, 3, 2}, {2, 3, 2}};
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(23));
  c.node.pcie.switches = {{0, 1}, {2, 3}};
  c.node.pcie.cpu_of_switch = {0, 1};
  c.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(11));
  c.node.pcie.latency = Sourced(Time::nanoseconds(150));
  c.node.pcie.host_link = Sourced(Bandwidth::gigabytes_per_second(9));
  c.node.pcie.host_copy = Sourced(Bandwidth::gigabytes_per_second(7));
  c.node.nic.count = 2;
  c.node.nic.cpu = {0, 1};
  c.node.nic.nic_of_gpu = {0, 0, 1, 1};
  c.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  c.node.nic.latency = Sourced(Time::nanoseconds(200));
  c.network.kind = tree ? NetworkKind::FatTree : NetworkKind::Star;
  TierSpec leaf;
  leaf.name = "leaf";
  leaf.group = 4;
  leaf.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  leaf.hop = Sourced(Time::nanoseconds(90));
  c.network.tiers.push_back(leaf);
  if (tree) {
    TierSpec spine = leaf;
    spine.name = "spine";
    spine.group = 0;
    spine.switches = 2;
    spine.cables = 1;
    c.network.tiers.push_back(spine);
  }
  return c;
}

LibrarySpec library(bool reduces) {
  LibrarySpec l;
  l.name = "small";
  ProtocolSpec p;
  p.name = "simple";
  p.efficiency = 0.9375;
  p.ring.base = Time::microseconds(2);
  p.tree.base = Time::microseconds(3);
  p.ring.nvlink = p.tree.nvlink = Time::nanoseconds(1700);
  p.ring.pcie = p.tree.pcie = Time::nanoseconds(2500);
  p.ring.network = p.tree.network = Time::nanoseconds(3300);
  p.ring_cap = Bandwidth::gigabytes_per_second(21.3);
  l.protocols.push_back(p);
  l.reduce = Sourced(Bandwidth::gigabytes_per_second(reduces ? 40 : 0));
  l.staging_latency = Sourced(Time::microseconds(2));
  return l;
}

/// Half of the cases are even on purpose (one collective that every schedule cuts evenly, full nodes, nobody late), the others are anything.
Case random_case(Rng& rng) {
  using A = AllreduceAlgorithm;
  const auto below = [&](int n) { return static_cast<int>(rng.below(static_cast<std::uint64_t>(n))); };
  Case c;
  const bool even = below(2) == 0;
  const int nodes = 1 + below(6);
  c.cluster = cluster(nodes, below(2) == 0, below(2) == 0);
  c.world = even ? 4 * nodes : std::max(2, 1 + below(4 * nodes));
  c.settings.library = library(below(2) == 0);
  c.staging.gpudirect = below(2) == 0;
  c.settings.gpus_per_node = 4;
  for (int r = 0; r < c.world; ++r) c.settings.gpu_of_rank.push_back(r);
  if (!even && c.world % 4 == 0) {  // nodes the other way round
    for (int& gpu : c.settings.gpu_of_rank) gpu = c.world - 4 - gpu / 4 * 4 + gpu % 4;
  }
  const int collectives = even ? 1 : 1 + below(2);
  constexpr A kAlgorithms[] = {A::Ring,  A::HalvingDoubling, A::Tree,      A::NodeTree,
                               A::Torus, A::Hierarchical,    A::ThreePhase};
  for (int k = 0; k < collectives; ++k) {
    CollectiveRequest r;
    r.algorithm = kAlgorithms[below(7)];
    r.across = kAlgorithms[below(3)];
    r.world_size = c.world;
    r.node_gpus = std::min(4, c.world);
    r.elements = even || below(2) ? std::int64_t{12} * c.world * c.world * (1 + below(40)) : below(50'000);
    r.chunk = 500 + below(8500);
    r.ring_orders = node_rings(c.cluster.node, r.node_gpus, below(3));
    c.plans.push_back(std::make_shared<const CollectivePlan>(plan_collective(r)));
  }
  const int late = even || below(2) ? -1 : below(c.world);
  for (int r = 0; r < c.world; ++r) c.entries.push_back(Time::nanoseconds(r == late ? 70'000 : 0));
  return c;
}

struct Outcome {
  std::vector<Time> ends;  // by (collective, rank)
  std::int64_t messages = 0;
};

Outcome simulate(const Case& c, Fabric& fabric, const Fold* fold) {
  constexpr std::uint32_t kFlow = 0, kEngine = 1, kEnter = 10;
  EventQueue queue;
  Network network(queue, fabric.links(), kFlow);
  CollectiveEngine engine(queue, network, fabric, c.settings, kEngine);
  engine.fold(fold);
  for (const auto& plan : c.plans) engine.open(plan, 0);
  for (int r = 0; r < c.world; ++r) {
    if (!fold || fold->simulates(r))
      queue.push(c.entries[static_cast<std::size_t>(r)], kEnter, static_cast<std::uint32_t>(r), 0);
  }
  Outcome out;
  const auto world = static_cast<std::size_t>(c.world);
  out.ends.resize(world * c.plans.size());
  while (!queue.empty()) {
    const Event event = queue.pop();
    std::uint64_t token = 0;
    if (event.kind == kFlow) {
      if (network.finish(event, token)) engine.flow_ended(token);
    } else if (event.kind == kEnter) {
      for (std::size_t k = 0; k < c.plans.size(); ++k)
        engine.enter(static_cast<int>(k), Rank(static_cast<int>(event.a)));
    } else {
      engine.handle(event);
    }
    for (const auto& [k, rank] : engine.finished())
      out.ends[static_cast<std::size_t>(k) * world + rank.index()] = queue.now();
    engine.finished().clear();
  }
  out.messages = engine.messages();
  engine.close_all();
  if (fold) {
    for (std::size_t k = 0; k < c.plans.size(); ++k) {
      for (std::size_t r = 0; r < world; ++r)
        out.ends[k * world + r] = out.ends[k * world + static_cast<std::size_t>(fold->representative[r])];
    }
  }
  return out;
}

std::shared_ptr<const Fold> fold_of(const Case& c, Fabric& fabric) {
  std::vector<std::uint64_t> colours;
  for (Time entry : c.entries) colours.push_back(static_cast<std::uint64_t>(entry.picoseconds()));
  return exact_fold(fabric, c.settings, c.plans, colours);
}

TEST(ExactFold, RandomCasesEndAtTheSamePicosecond) {
  constexpr std::uint64_t kCases = 400;
  std::uint64_t folded = 0;
  for (std::uint64_t seed = 0; seed < kCases; ++seed) {
    Rng rng(seed, "exact fold");
    const Case c = random_case(rng);
    Fabric fabric(c.cluster, c.cluster.nodes, rng.below(4) == 0 ? Routing::Ecmp : Routing::Static, 1, {}, c.staging);
    const auto fold = fold_of(c, fabric);
    if (!fold) continue;
    ++folded;
    const Outcome whole = simulate(c, fabric, nullptr), part = simulate(c, fabric, fold.get());
    ASSERT_LT(part.messages, whole.messages) << seed;
    ASSERT_EQ(part.ends, whole.ends) << seed;
  }
  EXPECT_GT(folded, kCases / 5);  // else the property says little
}

Case ring_over(int nodes, std::int64_t elements) {
  Case c;
  c.cluster = cluster(nodes, true, false);
  c.world = 4 * nodes;
  c.settings.library = library(false);
  c.settings.gpus_per_node = 4;
  for (int r = 0; r < c.world; ++r) c.settings.gpu_of_rank.push_back(r);
  c.entries.assign(static_cast<std::size_t>(c.world), Time::zero());
  CollectiveRequest r;
  r.algorithm = AllreduceAlgorithm::Hierarchical;
  r.world_size = c.world;
  r.node_gpus = 4;
  r.elements = elements;
  c.plans.push_back(std::make_shared<const CollectivePlan>(plan_collective(r)));
  return c;
}

TEST(ExactFold, EqualNodesBehindOneSwitchAreOneNode) {
  // 8 nodes of 4, 4 x 8 x 6 elements: rows and columns are cut evenly, so at most the 4 local ranks remain of 32.
  const Case c = ring_over(8, 4 * 8 * 6);
  Fabric fabric(c.cluster, 8, Routing::Static, 1);
  const auto fold = fold_of(c, fabric);
  ASSERT_TRUE(fold);
  EXPECT_LE(fold->simulated.size(), 4u);
  const Outcome whole = simulate(c, fabric, nullptr), part = simulate(c, fabric, fold.get());
  EXPECT_EQ(whole.ends, part.ends);
  EXPECT_GE(whole.messages, 8 * part.messages);
}

TEST(ExactFold, LoopsOfUnequalPiecesSplitTheRing) {
  // 16 ranks, 4 elements of a piece at most. 12 per rank: three loops of 4 x 16, all alike. 10 per rank: three loops of 53 or 54 elements,
  // whose segments differ by one: ranks that look alike in the first step are not.
  for (const bool even : {true, false}) {
    Case c = ring_over(4, 16);
    CollectiveRequest r;
    r.algorithm = AllreduceAlgorithm::Ring;
    r.world_size = c.world;
    r.node_gpus = 4;
    r.elements = 16 * (even ? 12 : 10);
    r.ring_chunk = 4;
    c.plans = {std::make_shared<const CollectivePlan>(plan_collective(r))};
    Fabric fabric(c.cluster, 4, Routing::Static, 1);
    const auto fold = fold_of(c, fabric);
    EXPECT_EQ(fold != nullptr, even);
    if (fold) {
      EXPECT_EQ(simulate(c, fabric, nullptr).ends, simulate(c, fabric, fold.get()).ends);
    }
  }
}

TEST(ExactFold, OneElementMoreSplitsEveryNode) {
  // 4 x 8 x 6 + 1 elements: column 3 owns 49, cut into seven times 6 and once 7. Who sends the longer piece when differs
  // from row to row, so no two ranks of that column are alike; the others have neighbours that differ.
  const Case c = ring_over(8, 4 * 8 * 6 + 1);
  Fabric fabric(c.cluster, 8, Routing::Static, 1);
  EXPECT_FALSE(fold_of(c, fabric));
}

TEST(ExactFold, LateRankSplitsThoseThatItTouches) {
  Case c = ring_over(2, 4 * 2 * 6);
  Fabric fabric(c.cluster, 2, Routing::Static, 1);
  const auto even = fold_of(c, fabric);
  ASSERT_TRUE(even);
  c.entries[5] = Time::microseconds(3);
  const auto odd = fold_of(c, fabric);
  EXPECT_GT(odd ? odd->simulated.size() : 8u, even->simulated.size());
}

TEST(ExactFold, SlowerCableSplitsTheNodesBehindIt) {
  // Halving and doubling over 8 nodes, two below each leaf: node r works with r XOR 1, 2, 4, so all are alike; with a slow NIC in node 7 none is
  // like it. Columns of 8 x 6 elements are halved evenly.
  Case c = ring_over(8, 4 * 8 * 6);
  c.cluster = cluster(8, true, true);
  CollectiveRequest r;
  r.algorithm = AllreduceAlgorithm::Hierarchical;
  r.across = AllreduceAlgorithm::HalvingDoubling;
  r.world_size = c.world;
  r.node_gpus = 4;
  r.elements = 4 * 8 * 6;
  c.plans = {std::make_shared<const CollectivePlan>(plan_collective(r))};
  Fabric even(c.cluster, 8, Routing::Static, 1);
  const auto alike = fold_of(c, even);
  ASSERT_TRUE(alike);
  EXPECT_EQ(alike->representative[28], alike->representative[0]);
  EXPECT_EQ(simulate(c, even, nullptr).ends, simulate(c, even, alike.get()).ends);

  LinkChanges changes;
  changes.slow.push_back({"node7.nic0", 0.5});
  Fabric odd(c.cluster, 8, Routing::Static, 1, changes);
  const auto split = fold_of(c, odd);
  EXPECT_TRUE(!split || split->representative[28] != split->representative[0]);
  if (split) {
    EXPECT_EQ(simulate(c, odd, nullptr).ends, simulate(c, odd, split.get()).ends);
  }
}

}  // namespace
}  // namespace lockstep::sim
