// Slow and failed links by name, the ways around them, and the traffic of other jobs.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "core/base/error.hpp"
#include "sim/network/background.hpp"
#include "sim/network/fabric.hpp"

namespace lockstep::sim {
namespace {

Bandwidth gb(double g) { return Bandwidth::gigabytes_per_second(g); }
Time ns(std::int64_t n) { return Time::picoseconds(n * 1000); }

/// Four nodes of two GPUs that share an NVLink, each below its own PCIe switch with its own NIC; two ports per leaf (the
/// two NICs of a node), two spines with two cables from each leaf.
ClusterSpec small() {
  ClusterSpec c;
  c.name = "small";
  c.nodes = 4;
  c.node.gpus = 2;
  c.node.nvlink.present = true;
  c.node.nvlink.pairs = {{0, 1, 2}};
  c.node.nvlink.per_link = Sourced<Bandwidth>(gb(24));
  c.node.pcie.switches = {{0}, {1}};
  c.node.pcie.cpu_of_switch = {0, 0};
  c.node.pcie.x16 = Sourced<Bandwidth>(gb(12));
  c.node.pcie.latency = Sourced<Time>(ns(100));
  c.node.pcie.host_link = Sourced<Bandwidth>(gb(20));
  c.node.nic.count = 2;
  c.node.nic.rate = Sourced<Bandwidth>(gb(10));
  c.node.nic.under_switch = {0, 1};
  c.node.nic.nic_of_gpu = {0, 1};
  c.network.kind = NetworkKind::FatTree;
  TierSpec leaf, spine;
  leaf.name = "leaf";
  leaf.group = 2;
  spine.name = "spine";
  spine.switches = spine.cables = 2;
  leaf.rate = spine.rate = Sourced<Bandwidth>(gb(10));
  leaf.hop = spine.hop = Sourced<Time>(ns(90));
  c.network.tiers = {leaf, spine};
  return c;
}

std::vector<std::string> names(Fabric& fabric, int from, int to) {
  std::vector<std::string> out;
  for (const std::int32_t l : fabric.route(from, to).links)
    out.push_back(fabric.links()[static_cast<std::size_t>(l)].name);
  return out;
}

std::vector<std::string> found(const Fabric& fabric, const std::string& name) {
  std::vector<std::string> out;
  for (const std::int32_t l : find_links(fabric.links(), name))
    out.push_back(fabric.links()[static_cast<std::size_t>(l)].name);
  return out;
}

using Names = std::vector<std::string>;

TEST(LinkNames, CablesDirectionsAndStars) {
  const Fabric f(small(), 4, Routing::Static, 1);
  EXPECT_EQ(found(f, "node3.nic0"), (Names{"node3/nic0>net", "node3/net>nic0"}));
  EXPECT_EQ(found(f, "node3.nic0.up"), (Names{"node3/nic0>net"}));
  EXPECT_EQ(found(f, "node3.nic0.down"), (Names{"node3/net>nic0"}));
  EXPECT_EQ(found(f, "node0.gpu0-gpu1"), (Names{"node0/gpu0>gpu1", "node0/gpu1>gpu0"}));
  EXPECT_EQ(found(f, "leaf1-spine0.1.down"), (Names{"spine0>leaf1.1"}));
  EXPECT_EQ(found(f, "leaf1-spine*.up").size(), 4u);
  EXPECT_EQ(found(f, "node*.nic1").size(), 8u);
  EXPECT_TRUE(found(f, "node4.nic0").empty());
  EXPECT_TRUE(found(f, "").empty());
}

// find_links() relies on it, for every kind of link.
TEST(LinkNames, LinksStandInPairsThereAndBack) {
  const Fabric f(small(), 4, Routing::Static, 1);
  std::set<std::string> seen;
  for (std::size_t i = 0; i < f.links().size(); i += 2) {
    const std::string there = f.links()[i].name, back = f.links()[i + 1].name;
    const auto begin = there.find('/') == std::string::npos ? 0 : there.find('/') + 1;
    const auto arrow = there.find('>');
    const auto dot = there.find('.', arrow);
    const std::string a = there.substr(begin, arrow - begin), b = there.substr(arrow + 1, dot - arrow - 1);
    EXPECT_EQ(back, there.substr(0, begin) + b + ">" + a + (dot == std::string::npos ? "" : there.substr(dot)));
    EXPECT_TRUE(seen.insert(cable_name(f.links()[i])).second) << there;
  }
}

TEST(SlowLinks, KeepAShareOfTheirRate) {
  const Fabric f(small(), 4, Routing::Static, 1, {{{"node1.nic0.up", 0.5}, {"node1.nic*", 0.5}}, {}});
  const auto rate = [&](const std::string& name) {
    return f.links()[static_cast<std::size_t>(find_links(f.links(), name).at(0))].capacity;
  };
  EXPECT_EQ(rate("node1.nic0.up"), gb(2.5));  // both apply
  EXPECT_EQ(rate("node1.nic0.down"), gb(5));
  EXPECT_EQ(rate("node0.nic0.up"), gb(10));
}

TEST(FailedLinks, AnotherCableOfTheFatTree) {
  // GPU 0 of node 0 to GPU 0 of node 1: port 2, so choice 2 mod 4 = 2: spine 0, cable 1.
  Fabric whole(small(), 4, Routing::Static, 1);
  const Names direct = names(whole, 0, 2);
  EXPECT_EQ(std::count(direct.begin(), direct.end(), "leaf0>spine0.1"), 1);
  EXPECT_EQ(std::count(direct.begin(), direct.end(), "spine0>leaf1.1"), 1);
  // Up: the next choice after 2 is (2 + 1 + 2 / 4 mod 3) mod 4 = 3: spine 1, cable 1, and down from there.
  Fabric up(small(), 4, Routing::Static, 1, {{}, {"leaf0-spine0.1"}});
  const Names around = names(up, 0, 2);
  EXPECT_EQ(std::count(around.begin(), around.end(), "leaf0>spine1.1"), 1);
  EXPECT_EQ(std::count(around.begin(), around.end(), "spine1>leaf1.1"), 1);
  EXPECT_EQ(around.size(), direct.size());
  // Down: the parallel cable of the same spine does it.
  Fabric down(small(), 4, Routing::Static, 1, {{}, {"leaf1-spine0.1.down"}});
  const Names parallel = names(down, 0, 2);
  EXPECT_EQ(std::count(parallel.begin(), parallel.end(), "leaf0>spine0.1"), 1);
  EXPECT_EQ(std::count(parallel.begin(), parallel.end(), "spine0>leaf1.0"), 1);
  // Both cables down from that spine: back to the leaf, over the other spine.
  Fabric other(small(), 4, Routing::Static, 1, {{}, {"leaf1-spine0.*.down"}});
  const Names over = names(other, 0, 2);
  EXPECT_EQ(std::count_if(over.begin(), over.end(), [](const auto& n) { return n.rfind("leaf0>spine1", 0) == 0; }), 1);
}

TEST(FailedLinks, NoRouteUsesADeadCableAndOthersKeepTheirs) {
  const LinkChanges changes{{}, {"leaf0-spine1.0", "leaf2-spine0.*", "leaf3-spine1.1.up"}};
  for (const Routing routing : {Routing::Static, Routing::Ecmp}) {
    Fabric whole(small(), 4, routing, 7), hurt(small(), 4, routing, 7, changes);
    int moved = 0;
    for (int from = 0; from < 8; ++from) {
      for (int to = 0; to < 8; ++to) {
        const Names before = names(whole, from, to), after = names(hurt, from, to);
        bool touched = false;
        for (const std::int32_t l : hurt.route(from, to).links) EXPECT_TRUE(hurt.works(l));
        for (const std::int32_t l : whole.route(from, to).links) touched |= !hurt.works(l);
        EXPECT_EQ(before != after, touched) << from << " to " << to;
        moved += touched;
      }
    }
    EXPECT_GT(moved, 5);
  }
}

TEST(FailedLinks, HigherTiersWhereTheLowerOnesAreCut) {
  ClusterSpec c = small();  // spines per two leaves, and a core above them
  c.network.tiers[1].group = 2;
  TierSpec core = c.network.tiers[1];
  core.name = "core";
  core.group = 0;
  core.switches = 1;
  c.network.tiers.push_back(core);
  // Leaf 0 has only spine 0, leaf 1 only spine 1: from leaf 0 to leaf 1 over the core.
  Fabric f(c, 4, Routing::Static, 1, {{}, {"leaf0-spine1.*", "leaf1-spine0.*"}});
  EXPECT_EQ(f.route(0, 2).switches, 5);
  const Names way = names(f, 0, 2);
  EXPECT_EQ(std::count_if(way.begin(), way.end(), [](const auto& n) { return n.find("core0") != std::string::npos; }),
            2);
}

TEST(FailedLinks, AnotherNicOfTheNode) {
  Fabric f(small(), 4, Routing::Static, 1, {{}, {"node0.nic0"}});
  const Names out = names(f, 0, 2), in = names(f, 2, 0);
  EXPECT_EQ(std::count(out.begin(), out.end(), "node0/nic1>net"), 1);
  EXPECT_EQ(std::count(in.begin(), in.end(), "node0/net>nic1"), 1);
  EXPECT_TRUE(f.route(0, 2).staged);                                          // the other NIC is under the other switch
  Fabric one_way(small(), 4, Routing::Static, 1, {{}, {"node0.nic0.down"}});  // a NIC that only sends is no use
  EXPECT_EQ(names(one_way, 0, 2), out);
}

TEST(FailedLinks, PcieInsteadOfAnNvlinkPair) {
  Fabric f(small(), 4, Routing::Static, 1, {{}, {"node2.gpu0-gpu1"}});
  EXPECT_EQ(f.route(4, 5).path_class, PathClass::Pcie);
  EXPECT_EQ(f.route(2, 3).path_class, PathClass::Nvlink);
}

TEST(FailedLinks, NothingLeftIsAClearError) {
  const auto message = [](const std::vector<std::string>& failed, int from, int to) {
    Fabric f(small(), 4, Routing::Static, 1, {{}, failed});
    try {
      f.route(from, to);
    } catch (const ConfigError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(message({"node0.nic*"}, 0, 2),
            "small: simulation.failed_links: GPU 0 of node 0 cannot reach GPU 0 of node 1 any more: every way between "
            "them has failed");
  EXPECT_NE(message({"leaf1-*"}, 0, 2), "");
  EXPECT_EQ(message({"leaf1-*"}, 0, 4), "");
  EXPECT_NE(message({"node1.gpu0-gpu1", "node1.gpu1-pcie1.up"}, 3, 2), "");
}

TEST(SurvivingNode, LosesThePairThatFailedOnAnyNodeInUse) {
  NodeSpec node = small().node;
  node.gpus = 3;
  node.nvlink.pairs = {{0, 1, 1}, {0, 2, 1}, {1, 2, 1}};
  const std::vector<int> used{0, 2};
  EXPECT_EQ(surviving_node(node, used, {{}, {"node2.gpu0-gpu2.up"}}).nvlink.pairs.size(), 2u);
  EXPECT_EQ(surviving_node(node, used, {{}, {"node1.gpu0-gpu2"}}).nvlink.pairs.size(), 3u);
  EXPECT_EQ(surviving_node(node, used, {{}, {"node0.nic0"}}).nvlink.pairs.size(), 3u);
  EXPECT_FALSE(surviving_node(node, used, {{}, {"node*.gpu*-gpu*"}}).nvlink.present);
  NodeSpec switched = node;  // a switch adds while every GPU of the nodes reaches it
  switched.nvlink.through_switch = switched.nvlink.switch_adds = true;
  EXPECT_TRUE(surviving_node(switched, used, {{}, {"node1.gpu0-nvswitch"}}).nvlink.switch_adds);
  EXPECT_FALSE(surviving_node(switched, used, {{}, {"node2.gpu0-nvswitch.up"}}).nvlink.switch_adds);
}

TEST(Background, TakesTheShareThatIsAskedForOnAverage) {
  const Fabric f(small(), 4, Routing::Ecmp, 1);
  const std::size_t cables = f.links().size() - f.first_cable();
  ASSERT_EQ(cables, 32u);  // 4 leaves x 2 spines x 2 cables x 2 directions
  for (const double share : {0.1, 0.3, 0.6}) {
    double taken = 0;
    constexpr int kDraws = 200;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      for (const Bandwidth b : left_by_other_jobs(f, share, Rng(1, "other jobs", i))) {
        // A flow wants 10 GB/s, all of a cable: n of them leave 1 / (n + 1) of it, while they carry all.
        EXPECT_GT(b, gb(0));
        EXPECT_LE(b, gb(10));
        taken += b < gb(10);
      }
    }
    // The share is reached and passed by less than the last flow's two cables.
    EXPECT_GE(taken / kDraws / 32, share);
    EXPECT_LE(taken / kDraws / 32, share + 2.0 / 32);
  }
  EXPECT_EQ(left_by_other_jobs(f, 0.3, Rng(1, "x", 5)), left_by_other_jobs(f, 0.3, Rng(1, "x", 5)));
  EXPECT_NE(left_by_other_jobs(f, 0.3, Rng(1, "x", 5)), left_by_other_jobs(f, 0.3, Rng(1, "x", 6)));
}

// Static routes of two nodes reach few of 32 cables: those are loaded to the share, not to hundreds of flows.
TEST(Background, OfAFewNodesLoadsOnlyWhatTheyReach) {
  const Fabric f(small(), 2, Routing::Static, 1);
  double least = 1;
  for (std::uint64_t i = 0; i < 50; ++i) {
    for (const Bandwidth b : left_by_other_jobs(f, 0.3, Rng(1, "other jobs", i)))
      least = std::min(least, b.bytes_per_second() / 10e9);
  }
  // A flow of a cable's whole rate leaves a half; a few may meet on one before 0.3 of all that are reached are carried.
  EXPECT_LE(least, 0.5);
  EXPECT_GE(least, 0.1);
}

TEST(Background, NothingToShareBelowOneLeaf) {
  ClusterSpec c = small();
  c.network.tiers[0].group = 16;
  const Fabric f(c, 4, Routing::Static, 1);
  for (const Bandwidth b : left_by_other_jobs(f, 0.5, Rng(1, "x"))) EXPECT_EQ(b, gb(10));
}

}  // namespace
}  // namespace lockstep::sim
