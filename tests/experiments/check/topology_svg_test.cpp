// Counts and tapers of networks, and drawings: what they show, that they are XML, that nothing leaves the page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <regex>

#include "core/base/error.hpp"
#include "experiments/check/network_shape.hpp"
#include "experiments/check/svg.hpp"
#include "experiments/check/topology_layout.hpp"
#include "experiments/check/topology_svg.hpp"
#include "tests/experiments/check/subjects.hpp"

namespace lockstep::check {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

long count(const std::string& text, const std::string& what) {
  long n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// 1,088 nodes / 34 = 32 racks of 4 leaves and 3 FBBs, 2 directors. A leaf's 17 ports below 3 x 6 = 18 cables; a rack's 68 below 24.
TEST(NetworkShape, Abci) {
  const auto shapes = network_shape(read_cluster("abci", kData));
  ASSERT_EQ(shapes.size(), 3u);
  EXPECT_EQ(shapes[0].switches, 128);
  EXPECT_EQ(shapes[1].groups, 32);
  EXPECT_EQ(shapes[1].switches, 96);
  EXPECT_EQ(shapes[2].switches, 2);
  EXPECT_NEAR(shapes[1].taper(), 18.0 / 17, 1e-9);
  EXPECT_NEAR(shapes[2].taper(), 24.0 / 68, 1e-9);
}

TEST(NetworkShape, StarAndNone) {
  EXPECT_EQ(network_shape(read_cluster("dgx2", kData)).size(), 1u);
  EXPECT_TRUE(network_shape(read_cluster("cpu-host", kData)).empty());
}

// One leaf holds all: nothing goes up, so nothing is tapered.
TEST(NetworkShape, ASingleLeafIsNotTapered) {
  auto c = read_cluster("generic-ethernet-10", kData);
  c.nodes = 32;
  EXPECT_EQ(network_shape(c)[1].taper(), 1);
}

// ABCI fills a rack's leaves NIC by NIC: NIC 1 of node 0 is port 34, on the third leaf of 17. Without racks NIC 1 is port 1.
TEST(NetworkShape, LeafOfNic) {
  auto c = read_cluster("abci", kData);
  EXPECT_EQ(leaf_of_nic(c, 0), 0);
  EXPECT_EQ(leaf_of_nic(c, 1), 2);
  c.network.nodes_per_rack = 0;
  EXPECT_EQ(leaf_of_nic(c, 1), 0);
}

TEST(TopologySvg, AbciShowsWhatTheFileSays) {
  const std::string svg = topology_svg(read_cluster("abci", kData));
  for (const char* text : {"ABCI, 1,088 nodes", "4,352 in all", "128 in all, 4 per rack, 17 NIC ports each",
                           "96 in all, 3 per group", "taper 0.35 (1 : 2.8)", "6 cables x 12.0 GB/s", "hop 270 ns",
                           "23.9 GB/s per link", "10.0 GB/s between them", ">GPU 3<", ">NIC 1<", ">socket 1<"})
    EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_EQ(count(svg, "<path "), 6);  // pairs of GPUs
  EXPECT_EQ(count(svg, ">2</text>"), 6);
}

TEST(TopologySvg, TextIsEscaped) {
  auto c = read_cluster("dgx2", kData);
  c.title = "A & B <\"C\">";
  EXPECT_THAT(topology_svg(c), AllOf(HasSubstr("A &amp; B &lt;&quot;C&quot;&gt;"), Not(HasSubstr("A & B"))));
}

/// Every element is closed, every number is one, and every coordinate lies on the page.
void expect_sound(const std::string& svg, const std::string& name) {
  EXPECT_EQ(svg.rfind("<svg ", 0), 0u) << name;
  EXPECT_EQ(count(svg, "<text "), count(svg, "</text>")) << name;
  EXPECT_THAT(svg, AllOf(Not(HasSubstr("nan")), Not(HasSubstr("inf")))) << name;
  std::smatch size;
  const std::string head = svg.substr(0, 200);
  ASSERT_TRUE(std::regex_search(head, size, std::regex("width=\"(\\d+)\" height=\"(\\d+)\""))) << name;
  const double width = std::stod(size[1]), height = std::stod(size[2]);
  const std::regex at(" (x|y|x1|x2|y1|y2)=\"(-?[0-9.]+)\"");
  for (std::sregex_iterator it(svg.begin(), svg.end(), at), end; it != end; ++it) {
    const double v = std::stod((*it)[2]);
    EXPECT_GE(v, 0) << name << (*it)[0];
    EXPECT_LE(v, (*it)[1].str()[0] == 'x' ? width : height) << name << (*it)[0];
  }
}

TEST(TopologySvg, EveryClusterOfTheDataFolderIsSound) {
  for (const auto& name : stems(kData, "clusters")) {
    const ClusterSpec c = read_cluster(name, kData);
    expect_sound(topology_svg(c), name);
    EXPECT_EQ(topology_svg(c), topology_svg(c)) << name;
  }
}

TEST(TopologySvg, NicsNeverHideASocket) {
  for (const auto& name : stems(kData, "clusters")) {
    const NodeSpec node = read_cluster(name, kData).node;
    if (node.nic.under_switch.empty()) continue;
    const NodeColumns columns = node_columns(node, 300);
    for (double nic : columns.nic) {
      for (const auto& [cpu, x] : columns.cpu) EXPECT_GT(std::abs(nic - x), kCpuWidth / 2) << name;
    }
  }
}

void expect_nics_apart(const NodeSpec& node, const std::string& what) {
  std::vector<double> nics = node_columns(node, 300).nic;
  std::sort(nics.begin(), nics.end());
  for (std::size_t n = 1; n < nics.size(); ++n) EXPECT_GE(nics[n] - nics[n - 1], kNicWidth) << what << ", NIC " << n;
}

TEST(TopologySvg, NicsDoNotOverlap) {
  for (const auto& name : stems(kData, "clusters")) expect_nics_apart(read_cluster(name, kData).node, name);
  NodeSpec node = read_cluster("dgx-a100", kData).node;  // four PCIe switches of two GPUs
  node.nic.count = 16;
  node.nic.under_switch = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  expect_nics_apart(node, "four under a switch");
  node.nic.cpu.assign(16, 1);
  node.nic.under_switch.clear();
  expect_nics_apart(node, "sixteen on a socket");
}

ClusterSpec any_fat_tree() {
  ClusterSpec c;
  c.name = "any";
  c.nodes = *rc::gen::inRange(1, 400);
  c.node.gpus = *rc::gen::inRange(1, 17);
  c.node.gpu = "any";
  c.node.nic.count = *rc::gen::inRange(1, 9);
  for (int g = 0; g < c.node.gpus; ++g) c.node.nic.nic_of_gpu.push_back(g % c.node.nic.count);
  c.node.nic.rate = Sourced<Bandwidth>(Bandwidth::gigabytes_per_second(12));
  if (*rc::gen::arbitrary<bool>()) {
    c.node.pcie.x16 = c.node.pcie.host_link = c.node.nic.rate;
    const int per = *rc::gen::inRange(1, 5);
    for (int g = 0; g < c.node.gpus; ++g) {
      if (g % per == 0) c.node.pcie.switches.emplace_back();
      c.node.pcie.switches.back().push_back(g);
    }
    const auto switches = static_cast<int>(c.node.pcie.switches.size());
    for (int s = 0; s < switches; ++s) c.node.pcie.cpu_of_switch.push_back(s * 2 / switches);
    const bool below = *rc::gen::arbitrary<bool>();
    for (int n = 0; n < c.node.nic.count; ++n)
      (below ? c.node.nic.under_switch : c.node.nic.cpu).push_back(below ? n % switches : n % 3);
  }
  c.network.kind = NetworkKind::FatTree;
  for (int t = *rc::gen::inRange(1, 4); t > 0; --t) {
    TierSpec tier;
    tier.name = "tier";
    tier.group = *rc::gen::inRange(1, 40);
    tier.switches = c.network.tiers.empty() ? 1 : *rc::gen::inRange(1, 20);
    tier.cables = *rc::gen::inRange(1, 10);
    tier.rate = c.node.nic.rate;
    c.network.tiers.push_back(tier);
  }
  c.network.tiers.push_back(c.network.tiers.back());
  c.network.tiers.back().group = 0;
  return c;
}

TEST(TopologySvg, AnyFatTreeIsSound) {
  EXPECT_TRUE(rc::check("drawn without leaving the page", [] {
    const ClusterSpec c = any_fat_tree();
    RC_PRE(validate(c).empty());
    expect_sound(topology_svg(c), "any");
    RC_ASSERT(!testing::Test::HasFailure());
  }));
}

// What a tier carries is proportional to its cables, and only that tier's.
TEST(NetworkShape, TaperIsProportionalToCables) {
  EXPECT_TRUE(rc::check("double the cables, double the taper", [] {
    ClusterSpec c = any_fat_tree();
    RC_PRE(validate(c).empty());
    const auto before = network_shape(c);
    const std::size_t t = *rc::gen::inRange<std::size_t>(1, before.size());
    c.network.tiers[t].cables *= 2;
    const auto after = network_shape(c);
    for (std::size_t i = 1; i < before.size(); ++i) {
      const bool goes_up = before[i].below.bytes_per_second() > 0;
      RC_ASSERT(std::abs(after[i].taper() / before[i].taper() - (i == t && goes_up ? 2 : 1)) < 1e-9);
      RC_ASSERT(after[i].switches == before[i].switches);
    }
  }));
}

}  // namespace
}  // namespace lockstep::check
