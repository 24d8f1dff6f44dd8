#include "sim/network/fabric.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

Time ns(std::int64_t n) { return Time::picoseconds(n * 1'000); }
Bandwidth gb(double g) { return Bandwidth::gigabytes_per_second(g); }

/// ABCI's shape: 4 GPUs, all pairs joined by 2 NVLinks, two below each CPU's PCIe switch, a NIC on each CPU; 34 nodes
/// per rack, 4 leaves of 17 ports, 3 FBBs with 6 cables from each leaf, 2 directors with 4 cables from each FBB. Round
/// numbers for arithmetic.
ClusterSpec abci() {
  ClusterSpec c;
  c.name = "abci";
  c.nodes = 1088;
  c.node.gpus = 4;
  c.node.nvlink.present = true;
  for (int a = 0; a < 4; ++a) {
    for (int b = a + 1; b < 4; ++b) c.node.nvlink.pairs.push_back({a, b, 2});
  }
  c.node.nvlink.per_link = Sourced<Bandwidth>(gb(24));
  c.node.nvlink.latency = Sourced<Time>(ns(10));
  c.node.pcie.switches = {{0, 1}, {2, 3}};
  c.node.pcie.cpu_of_switch = {0, 1};
  c.node.pcie.x16 = Sourced<Bandwidth>(gb(12));
  c.node.pcie.latency = Sourced<Time>(ns(100));
  c.node.pcie.host_link = Sourced<Bandwidth>(gb(20));
  c.node.nic.count = 2;
  c.node.nic.rate = Sourced<Bandwidth>(gb(12.5));
  c.node.nic.latency = Sourced<Time>(ns(500));
  c.node.nic.cpu = {0, 1};
  c.node.nic.nic_of_gpu = {0, 0, 1, 1};
  c.network.kind = NetworkKind::FatTree;
  c.network.nodes_per_rack = 34;
  c.network.leaves_per_rack = 4;
  const auto tier = [](const char* name, int group, int switches, int cables) {
    TierSpec t;
    t.name = name;
    t.group = group;
    t.switches = switches;
    t.cables = cables;
    t.rate = Sourced<Bandwidth>(gb(12.5));
    t.hop = Sourced<Time>(ns(90));
    return t;
  };
  c.network.tiers = {tier("leaf", 17, 1, 1), tier("fbb", 4, 3, 6), tier("director", 0, 2, 4)};
  return c;
}

/// 12.5 GB/s and 0.5 us per link, one GPU per node, nothing else.
ClusterSpec flat(int nodes) {
  ClusterSpec c;
  c.name = "flat";
  c.nodes = nodes;
  c.node.nic.count = 1;
  c.node.nic.rate = Sourced<Bandwidth>(gb(12.5));
  c.node.nic.latency = Sourced<Time>(ns(500));
  c.network.kind = NetworkKind::Star;
  return c;
}

std::vector<std::string> names(const Fabric& fabric, const Route& route) {
  std::vector<std::string> result;
  for (auto l : route.links) result.push_back(fabric.links()[static_cast<std::size_t>(l)].name);
  return result;
}

/// The two switches or devices at the ends of a link: "a>b.0" gives {a, b}, with the node in front of both.
std::pair<std::string, std::string> ends(const std::string& name) {
  const std::size_t slash = name.find('/'), arrow = name.find('>'), dot = name.find('.');
  const std::string node = slash == std::string::npos ? "" : name.substr(0, slash + 1);
  const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
  return {node + name.substr(begin, arrow - begin),
          node + name.substr(arrow + 1, dot == std::string::npos ? dot : dot - arrow - 1)};
}

/// Every link begins where the last one ended ("net" stands for the switch on the other side of a NIC's port); none is
/// used twice.
void expect_connected(const Fabric& fabric, const Route& route, const std::string& from, const std::string& to) {
  const auto path = names(fabric, route);
  ASSERT_FALSE(path.empty());
  EXPECT_EQ(ends(path.front()).first, from);
  EXPECT_EQ(ends(path.back()).second, to);
  EXPECT_EQ(std::set<std::string>(path.begin(), path.end()).size(), path.size());
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    const std::string here = ends(path[i]).second, next = ends(path[i + 1]).first;
    const auto outside = [](const std::string& place) {
      return place.size() >= 4 && place.substr(place.size() - 4) == "/net";
    };
    if (!outside(here) && !outside(next)) {
      EXPECT_EQ(here, next) << path[i] << " then " << path[i + 1];
    }
  }
}

std::string gpu_name(int gpu, int per_node) {
  return "node" + std::to_string(gpu / per_node) + "/gpu" + std::to_string(gpu % per_node);
}

TEST(Fabric, FlatPlatformIsNicUpNicDown) {
  Fabric fabric(flat(4), 4, Routing::Static, 1);
  const Route route = fabric.route(1, 3);
  EXPECT_EQ(names(fabric, route), (std::vector<std::string>{"node1/nic0>net", "node3/net>nic0"}));
  EXPECT_EQ(route.latency, ns(1000));  // 2 links of 0.5 us
  EXPECT_EQ(route.switches, 1);
  EXPECT_EQ(route.path_class, PathClass::Network);
  EXPECT_FALSE(route.staged);
  EXPECT_EQ(fabric.links().size(), 8U);
  EXPECT_EQ(fabric.links()[0].capacity, gb(12.5));
}

TEST(Fabric, OneNodeNeedsNoNetwork) {
  ClusterSpec alone;
  alone.name = "alone";
  Fabric fabric(alone, 1, Routing::Static, 1);
  const Route route = fabric.route(0, 0);
  EXPECT_TRUE(route.links.empty());
  EXPECT_EQ(route.latency, Time::zero());
  EXPECT_EQ(route.path_class, PathClass::Local);
  alone.nodes = 2;
  EXPECT_THROW(Fabric(alone, 2, Routing::Static, 1), ConfigError);
  EXPECT_THROW(Fabric(flat(4), 5, Routing::Static, 1), ConfigError);
  EXPECT_THROW(Fabric(flat(4), 0, Routing::Static, 1), ConfigError);
}

TEST(Fabric, NvlinkPairCarriesItsLinksPerDirection) {
  Fabric fabric(abci(), 1, Routing::Static, 1);
  const Route there = fabric.route(0, 3), back = fabric.route(3, 0);
  ASSERT_EQ(names(fabric, there), (std::vector<std::string>{"node0/gpu0>gpu3"}));
  ASSERT_EQ(names(fabric, back), (std::vector<std::string>{"node0/gpu3>gpu0"}));
  EXPECT_EQ(fabric.links()[static_cast<std::size_t>(there.links[0])].capacity, gb(48));  // 2 x 24
  EXPECT_EQ(there.latency, ns(10));
  EXPECT_EQ(there.path_class, PathClass::Nvlink);
  EXPECT_EQ(there.switches, 0);
}

TEST(Fabric, NvswitchIsOneUpAndOneDown) {
  ClusterSpec c = abci();
  c.node.nvlink.through_switch = true;
  c.node.nvlink.links_per_gpu = 6;
  Fabric fabric(c, 1, Routing::Static, 1);
  const Route route = fabric.route(1, 2);
  EXPECT_EQ(names(fabric, route), (std::vector<std::string>{"node0/gpu1>nvswitch", "node0/nvswitch>gpu2"}));
  EXPECT_EQ(fabric.links()[static_cast<std::size_t>(route.links[0])].capacity, gb(144));  // 6 x 24
  EXPECT_EQ(route.latency, ns(10));
}

// Crossings of 100 ns: same switch 1; other CPU: switch, CPU, CPU, switch = 4; same CPU, other switch: switch, CPU,
// switch = 3.
TEST(Fabric, WithoutNvlinkGpusMeetOverPcie) {
  ClusterSpec c = abci();
  c.node.nvlink.present = false;
  Fabric fabric(c, 1, Routing::Static, 1);
  const Route same = fabric.route(0, 1);
  EXPECT_EQ(names(fabric, same), (std::vector<std::string>{"node0/gpu0>pcie0", "node0/pcie0>gpu1"}));
  EXPECT_EQ(same.latency, ns(100));
  EXPECT_EQ(same.path_class, PathClass::Pcie);
  EXPECT_FALSE(same.staged);
  const Route other = fabric.route(0, 3);
  EXPECT_EQ(names(fabric, other), (std::vector<std::string>{"node0/gpu0>pcie0", "node0/pcie0>cpu0", "node0/cpu0>cpu1",
                                                            "node0/cpu1>pcie1", "node0/pcie1>gpu3"}));
  EXPECT_EQ(other.latency, ns(400));
  EXPECT_TRUE(other.staged);
  EXPECT_EQ(fabric.links()[static_cast<std::size_t>(other.links[2])].capacity, gb(20));
  c.node.pcie.cpu_of_switch = {0, 0};
  Fabric shared(c, 1, Routing::Static, 1);
  EXPECT_EQ(shared.route(0, 3).links.size(), 4U);
  EXPECT_EQ(shared.route(0, 3).latency, ns(300));
}

// As in a hybrid cube mesh: pairs with NVLink use it, the others go over PCIe.
TEST(Fabric, MeshFallsBackToPcieForPairsWithoutNvlink) {
  ClusterSpec c = abci();
  c.node.nvlink.pairs = {{0, 1, 1}, {1, 2, 1}, {2, 3, 1}, {0, 3, 1}};
  Fabric fabric(c, 1, Routing::Static, 1);
  EXPECT_EQ(fabric.route(0, 3).path_class, PathClass::Nvlink);
  EXPECT_EQ(fabric.route(0, 2).path_class, PathClass::Pcie);
  c.node.pcie = PcieSpec{};
  EXPECT_THROW(Fabric(c, 1, Routing::Static, 1), ConfigError);
}

// GPU 0 -> switch, CPU 0 (200 ns), NIC (no crossing), port: 500 + 90 into the leaf; leaf -> NIC 500, CPU 100, switch
// 100: 1,490 ns.
TEST(Fabric, AbciWayToTheNextNodeLeavesAndEntersThroughTheCpu) {
  Fabric fabric(abci(), 2, Routing::Static, 1);
  const Route route = fabric.route(0, 5);
  EXPECT_EQ(names(fabric, route),
            (std::vector<std::string>{"node0/gpu0>pcie0", "node0/pcie0>cpu0", "node0/cpu0>nic0", "node0/nic0>net",
                                      "node1/net>nic0", "node1/nic0>cpu0", "node1/cpu0>pcie0", "node1/pcie0>gpu1"}));
  EXPECT_EQ(route.latency, ns(1490));
  EXPECT_TRUE(route.staged);
  EXPECT_EQ(route.switches, 1);
}

TEST(Fabric, CopiesThroughHostMemoryAreLinksOfTheGpu) {
  ClusterSpec c = abci();
  c.node.pcie.host_copy = Sourced<Bandwidth>(gb(7));
  Fabric staged(c, 2, Routing::Static, 1);
  const std::vector<std::string> way = names(staged, staged.route(0, 5));
  EXPECT_EQ(way.front(), "node0/gpu0>host");
  EXPECT_EQ(way.back(), "node1/host>gpu1");
  EXPECT_EQ(way.size(), 10u);                               // the eight of the way itself, and the copies
  EXPECT_EQ(staged.route(0, 5).latency, ns(1490));          // the library says what staging adds
  EXPECT_EQ(names(staged, staged.route(0, 1)).size(), 1u);  // over NVLink
  Fabric direct(c, 2, Routing::Static, 1, {}, {.gpudirect = true});
  EXPECT_FALSE(direct.route(0, 5).staged);
  EXPECT_EQ(names(direct, direct.route(0, 5)).size(), 8u);

  c.node.nvlink.present = false;
  Fabric inside(c, 1, Routing::Static, 1, {}, {.gpudirect = true});  // adapters have no part in it
  EXPECT_EQ(names(inside, inside.route(0, 1)).size(), 2u);           // below one switch
  const std::vector<std::string> across = names(inside, inside.route(3, 0));
  EXPECT_EQ(across.front(), "node0/gpu3>host");
  EXPECT_EQ(across.back(), "node0/host>gpu0");

  c.node.nic.under_switch = {0, 1};
  Fabric beside(c, 2, Routing::Static, 1, {}, {.always = true});  // a library of the host copies even below one switch
  EXPECT_TRUE(beside.route(0, 4).staged);
  EXPECT_EQ(names(beside, beside.route(0, 4)).front(), "node0/gpu0>host");

  Fabric broken(c, 1, Routing::Static, 1, {{}, {"node0.gpu0-host"}});
  EXPECT_THROW(broken.route(0, 3), ConfigError);
  EXPECT_TRUE(broken.works(0));
}

TEST(Fabric, NicBelowTheGpusSwitchAvoidsTheHost) {
  ClusterSpec c = abci();
  c.node.nic.under_switch = {0, 1};
  Fabric fabric(c, 2, Routing::Static, 1);
  const Route route = fabric.route(0, 4);
  EXPECT_EQ(names(fabric, route), (std::vector<std::string>{"node0/gpu0>pcie0", "node0/pcie0>nic0", "node0/nic0>net",
                                                            "node1/net>nic0", "node1/nic0>pcie0", "node1/pcie0>gpu0"}));
  EXPECT_FALSE(route.staged);
  c.node.nic.nic_of_gpu = {1, 1, 0, 0};  // across the sockets
  Fabric crossed(c, 2, Routing::Static, 1);
  EXPECT_TRUE(crossed.route(0, 4).staged);
  EXPECT_EQ(crossed.route(0, 4).links.size(), 12U);  // gpu, switch, cpu, cpu, switch, nic, net: 6 each way
}

// NIC 0 of nodes 0 .. 16 is on leaf 0, of 17 .. 33 on leaf 1; NIC 1 on leaves 2 and 3. Per extra tier two more
// switches.
TEST(Fabric, AbciCrosses1SwitchOnALeaf3InARackAnd5BetweenRacks) {
  Fabric fabric(abci(), 68, Routing::Static, 1);
  EXPECT_EQ(fabric.route(0, 16 * 4).switches, 1);
  EXPECT_EQ(fabric.route(0, 17 * 4).switches, 3);
  EXPECT_EQ(fabric.route(0, 4 + 2).switches, 3);  // from NIC 0 to NIC 1
  EXPECT_EQ(fabric.route(2, 4 + 2).switches, 1);  // both on leaf 2
  EXPECT_EQ(fabric.route(0, 34 * 4).switches, 5);
  EXPECT_EQ(fabric.route(0, 34 * 4).latency - fabric.route(0, 4).latency, ns(4 * 90));
  std::vector<std::string> tiers;
  for (const std::string& name : names(fabric, fabric.route(0, 34 * 4))) {
    if (name.find('/') == std::string::npos) tiers.push_back(ends(name).first + " " + ends(name).second);
  }
  // Port 68 of the whole: leaf 4. 68 mod 18 = 14: FBB 14 mod 3 = 2. floor(68 / 3) mod 8 = 6: director 0.
  EXPECT_EQ(tiers, (std::vector<std::string>{"leaf0 fbb2", "fbb2 director0", "director0 fbb5", "fbb5 leaf4"}));
}

void expect_all_pairs(const Routing routing) {
  const int gpus = 70 * 4;  // two full racks and two nodes
  Fabric fabric(abci(), 70, routing, 42);
  for (int from = 0; from < gpus; from += 3) {
    for (int to = 0; to < gpus; to += 5) {
      if (from == to) continue;
      const Route there = fabric.route(from, to), back = fabric.route(to, from);
      ASSERT_EQ(there.switches, back.switches);
      ASSERT_EQ(there.links.size(), back.links.size());
      ASSERT_EQ(there.latency, back.latency);
      const std::string first = gpu_name(from, 4), last = gpu_name(to, 4);
      expect_connected(fabric, there, first, last);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(Fabric, AllPairsAreConnectedUpAndDownAlike) { expect_all_pairs(Routing::Static); }
TEST(Fabric, AllPairsAreConnectedUnderEcmpToo) { expect_all_pairs(Routing::Ecmp); }

// Per rack and direction: 4 leaves x 3 FBBs x 6 = 72 cables, 3 FBBs x 2 directors x 4 = 24; a third of the leaves' 72
// (and 24 / 68 of the ports). Links in a node: 6 pairs x 2, 4 GPUs x 2, 2 switches x 2, 1 socket x 2, 2 NICs x (2 + 2)
// = 34.
TEST(Fabric, AbciCableCountsAndTaper) {
  for (const int nodes : {2, 34, 35, 512}) {
    const int racks = (nodes + 33) / 34;
    Fabric fabric(abci(), nodes, Routing::Static, 1);
    std::map<std::string, int> count;
    for (const Link& link : fabric.links()) {
      if (link.name.find('/') != std::string::npos) {
        ++count["node"];
        continue;
      }
      std::string kind = link.name.substr(0, link.name.find('.'));
      kind.erase(std::remove_if(kind.begin(), kind.end(), [](char c) { return c >= '0' && c <= '9'; }), kind.end());
      ++count[kind];
    }
    EXPECT_EQ(count, (std::map<std::string, int>{{"node", 34 * nodes},
                                                 {"leaf>fbb", 72 * racks},
                                                 {"fbb>leaf", 72 * racks},
                                                 {"fbb>director", 24 * racks},
                                                 {"director>fbb", 24 * racks}}));
    EXPECT_EQ(count["leaf>fbb"], 3 * count["fbb>director"]);
  }
}

// All 68 ports of rack 1 as destinations, from one port in rack 0. 17 consecutive ports per leaf take 17 of the 18
// cables down to it; 68 consecutive numbers take each of the 24 (FBB, director, cable) combinations (lcm of 3 and 8) 2
// or 3 times, up and down.
TEST(Fabric, DestinationModKSpreadsEvenly) {
  Fabric fabric(abci(), 68, Routing::Static, 1);
  std::map<std::string, int> uses;
  for (int node = 34; node < 68; ++node) {
    for (int local : {0, 2}) {
      const Route route = fabric.route(0, node * 4 + local);
      for (const std::string& name : names(fabric, route)) ++uses[name];
    }
  }
  std::map<std::string, std::pair<int, int>> seen;  // kind -> {cables in use, most used}
  for (const auto& [name, n] : uses) {
    if (name.find('/') != std::string::npos) continue;
    const std::string kind = name.substr(0, 1) + ">" + name.substr(name.find('>') + 1, 1);
    ++seen[kind].first;
    seen[kind].second = std::max(seen[kind].second, n);
  }
  EXPECT_EQ(seen["l>f"], (std::pair<int, int>{18, 4}));  // 68 over 18
  EXPECT_EQ(seen["f>d"], (std::pair<int, int>{24, 3}));  // 68 over 24
  EXPECT_EQ(seen["d>f"], (std::pair<int, int>{24, 3}));
  EXPECT_EQ(seen["f>l"], (std::pair<int, int>{68, 1}));
}

// Two tiers with equal numbers of switches: if both took the destination modulo 4, every switch of tier 1 would use one
// way up only.
TEST(Fabric, TiersDoNotPickTheSameDigitTwice) {
  ClusterSpec c = flat(64);
  c.network.kind = NetworkKind::FatTree;
  TierSpec tier;
  tier.rate = Sourced<Bandwidth>(gb(12.5));
  tier.name = "edge", tier.group = 4;
  c.network.tiers.push_back(tier);
  tier.name = "middle", tier.group = 4, tier.switches = 4;
  c.network.tiers.push_back(tier);
  tier.name = "core", tier.group = 0, tier.switches = 4;
  c.network.tiers.push_back(tier);
  Fabric fabric(c, 64, Routing::Static, 1);
  std::map<std::string, int> uses;
  for (int to = 16; to < 64; ++to) {
    for (const std::string& name : names(fabric, fabric.route(0, to))) {
      if (name.rfind("middle", 0) == 0 && ends(name).second.rfind("core", 0) == 0) ++uses[name];
    }
  }
  EXPECT_EQ(uses.size(), 16U);                                 // 4 middle switches x 4 cores
  for (const auto& [name, n] : uses) EXPECT_EQ(n, 3) << name;  // 48 destinations over 16
}

TEST(Fabric, EcmpDependsOnSeedAndSourceAndRepeats) {
  const auto sum = [](std::uint64_t seed, int from) {
    Fabric fabric(abci(), 68, Routing::Ecmp, seed);
    std::vector<std::int32_t> all;
    for (int node = 34; node < 68; ++node) {
      const Route route = fabric.route(from, node * 4);
      all.insert(all.end(), route.links.begin() + 4, route.links.begin() + 8);
    }
    return all;
  };
  EXPECT_EQ(sum(1, 0), sum(1, 0));
  EXPECT_NE(sum(1, 0), sum(2, 0));
  EXPECT_NE(sum(1, 0), sum(1, 1));
}

TEST(Fabric, WithoutRacksPortsFollowEachOther) {
  ClusterSpec c = abci();
  c.network.nodes_per_rack = 0;
  c.network.leaves_per_rack = 0;
  c.network.tiers[0].group = 16;  // 8 nodes of 2 NICs per leaf, 32 nodes per group of 4 leaves
  Fabric fabric(c, 40, Routing::Static, 1);
  EXPECT_EQ(fabric.route(0, 7 * 4 + 3).switches, 1);
  EXPECT_EQ(fabric.route(0, 8 * 4).switches, 3);
  EXPECT_EQ(fabric.route(0, 32 * 4).switches, 5);
}

TEST(Fabric, PortRunsAtTheSlowerOfNicAndSwitch) {
  ClusterSpec c = abci();
  c.network.tiers[0].rate = Sourced<Bandwidth>(gb(10));
  Fabric fabric(c, 2, Routing::Static, 1);
  EXPECT_EQ(fabric.links()[static_cast<std::size_t>(fabric.route(0, 4).links[3])].capacity, gb(10));
}

TEST(Fabric, RoutesStayWhereTheyAre) {
  Fabric fabric(abci(), 200, Routing::Static, 1);
  const Route first = fabric.route(0, 799);
  const std::vector<std::int32_t> copy(first.links.begin(), first.links.end());
  for (int from = 0; from < 800; from += 7) {
    for (int to = 0; to < 800; to += 7) fabric.route(from, to);
  }
  Fabric moved(std::move(fabric));
  EXPECT_TRUE(std::equal(copy.begin(), copy.end(), first.links.begin(), first.links.end()));
  EXPECT_EQ(moved.route(0, 799).links.data(), first.links.data());
}

std::string keys_of_faults(const ClusterSpec& c, int nodes) {
  try {
    Fabric fabric(c, nodes, Routing::Static, 1);
  } catch (const ConfigError& e) {
    std::string keys;
    for (const Fault& fault : e.faults()) keys += fault.key + ";";
    return keys;
  }
  return "no fault";
}

TEST(Fabric, FaultsNameTheirKeys) {
  ClusterSpec c = abci();
  c.network.tiers[2].group = 16;  // two directors per 16 racks: rack 16 is cut off
  EXPECT_EQ(keys_of_faults(c, 544), "no fault");
  EXPECT_EQ(keys_of_faults(c, 545), "network.tiers;");

  c = abci();
  c.node.pcie.x16 = Sourced<Bandwidth>();
  c.node.nvlink.per_link = Sourced<Bandwidth>();
  EXPECT_EQ(keys_of_faults(c, 1), "node.nvlink.per_link;node.pcie.x16;");

  c = abci();
  c.node.pcie.switches = {{0, 1}, {2}};
  EXPECT_EQ(keys_of_faults(c, 1), "node.pcie.switches;");

  c = abci();
  c.node.nic.nic_of_gpu = {0, 0, 1, 2};
  EXPECT_EQ(keys_of_faults(c, 2), "node.nic.nic_of_gpu;");

  c = abci();
  c.node.nic.count = 0;
  EXPECT_EQ(keys_of_faults(c, 2), "node.nic.count;");

  c = abci();
  c.network.leaves_per_rack = 3;
  EXPECT_EQ(keys_of_faults(c, 2), "network.leaves_per_rack;");

  c = abci();
  c.network.tiers[1].rate = Sourced<Bandwidth>();
  c.network.tiers[2].cables = 0;
  EXPECT_EQ(keys_of_faults(c, 2), "network.tiers[1].rate;network.tiers[2].cables;");
}

}  // namespace
}  // namespace lockstep::sim
