// Each rule for clusters: silent on a good one, and what it says when that one is spoilt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/experiments/check/subjects.hpp"

namespace lockstep::check {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

std::vector<std::string> said(const char* rule, const ClusterSubject& s) {
  return check::said(cluster_rules(), rule, s);
}
Bandwidth gb(double g) { return Bandwidth::gigabytes_per_second(g); }

TEST(ClusterRules, EveryRuleIsSilentOnAnUntaperedDgx1) {
  const auto good = cluster_of("dgx1-v100");
  for (const auto& rule : cluster_rules()) EXPECT_THAT(rule.find(good), SizeIs(0)) << rule.name;
}

TEST(ClusterRules, NvlinkRate) {
  auto s = cluster_of("dgx1-v100");
  s.cluster.node.nvlink.per_link = Sourced<Bandwidth>(gb(25));  // the datasheet's own figure is not above it
  EXPECT_THAT(said("nvlink_rate", s), IsEmpty());
  s.cluster.node.nvlink.per_link.high = gb(25.1);  // the band's end is simulated too
  EXPECT_THAT(said("nvlink_rate", s),
              ElementsAre(AllOf(StartsWith("node.nvlink.per_link: "), HasSubstr("25.0 GB/s"), HasSubstr("NVLink2"))));
  s.gpu.compute_capability = 86;  // an A40's bridge: 56.25 GB/s each way over four links
  s.cluster.node.nvlink.per_link = Sourced<Bandwidth>(gb(14.0625));
  EXPECT_THAT(said("nvlink_rate", s), IsEmpty());
  s.gpu = read_gpu("p40", kData);
  EXPECT_THAT(said("nvlink_rate", s), ElementsAre(AllOf(StartsWith("node.nvlink: "), HasSubstr("61"))));
}

// Every V100 of the mesh has its six links; one more on the pair 0-1 gives both seven.
TEST(ClusterRules, NvlinkCount) {
  auto s = cluster_of("dgx1-v100");
  s.cluster.node.nvlink.pairs[0].links += 1;
  EXPECT_THAT(said("nvlink_count", s),
              ElementsAre(AllOf(StartsWith("node.nvlink.pairs: GPU 0 has 7"), HasSubstr("has 6"))));
  auto through = cluster_of("dgx-a100");
  through.cluster.node.nvlink.links_per_gpu = 18;
  EXPECT_THAT(said("nvlink_count", through), ElementsAre(StartsWith("node.nvlink.links_per_gpu: ")));
}

// Six links of 150 GB/s are 900 GB/s, more than the 790 that a V100's memory reaches.
TEST(ClusterRules, NvlinkFasterThanMemory) {
  auto s = cluster_of("dgx1-v100");
  s.cluster.node.nvlink.per_link = Sourced<Bandwidth>(gb(150));
  EXPECT_THAT(said("nvlink_memory", s), ElementsAre(AllOf(HasSubstr("900 GB/s"), HasSubstr("790 GB/s"))));
}

TEST(ClusterRules, SwitchesThatAdd) {
  auto a100 = cluster_of("dgx-a100"), h100 = cluster_of("dgx-h100"), mesh = cluster_of("dgx1-v100");
  for (const auto* s : {&a100, &h100, &mesh}) EXPECT_THAT(said("switch_adds", *s), IsEmpty());
  a100.cluster.node.nvlink.switch_adds = true;
  h100.cluster.node.nvlink.switch_adds = false;
  EXPECT_THAT(said("switch_adds", a100),
              ElementsAre(AllOf(StartsWith("node.nvlink.switch_adds: "), HasSubstr("80, do not add"))));
  EXPECT_THAT(said("switch_adds", h100),
              ElementsAre(AllOf(StartsWith("node.nvlink.switch_adds: false"), HasSubstr("90, add"))));
}

// 16 lanes x 8 GT/s x 128/130 / 8 = 15.75 GB/s for V100; A100 has gen4, twice that.
TEST(ClusterRules, PcieRate) {
  auto s = cluster_of("dgx1-v100");
  s.cluster.node.pcie.x16 = Sourced<Bandwidth>(gb(15.75));
  EXPECT_THAT(said("pcie_rate", s), IsEmpty());
  s.cluster.node.pcie.x16 = Sourced<Bandwidth>(gb(24));
  EXPECT_THAT(said("pcie_rate", s), ElementsAre(AllOf(StartsWith("node.pcie.x16: 24.0 GB/s"), HasSubstr("gen3"))));
  s.gpu = read_gpu("a100-sxm4-40gb", kData);
  EXPECT_THAT(said("pcie_rate", s), IsEmpty());
}

TEST(ClusterRules, CopiesThroughHostMemory) {
  auto s = cluster_of("dgx1-v100");
  EXPECT_THAT(said("host_copy", s), IsEmpty());
  s.cluster.node.pcie.host_copy = Sourced<Bandwidth>(gb(13));
  EXPECT_THAT(said("host_copy", s), ElementsAre(StartsWith("node.pcie.host_copy: 13.0 GB/s is above the 12.0 GB/s")));
  s.cluster.node.pcie.host_copy = {};
  EXPECT_THAT(said("host_copy", s), ElementsAre(StartsWith("node.pcie.host_copy: missing")));  // GPU 0 to 5, say
  auto all = cluster_of("dgx-a100");
  all.cluster.node.pcie.host_copy = {};
  EXPECT_THAT(said("host_copy", all), IsEmpty());
  all.cluster.node.nvlink.present = false;
  EXPECT_THAT(said("host_copy", all), ElementsAre(StartsWith("node.pcie.host_copy: missing")));
  all.cluster.node.pcie.switches = {{0, 1, 2, 3, 4, 5, 6, 7}};
  EXPECT_THAT(said("host_copy", all), IsEmpty());
}

TEST(ClusterRules, NicFasterThanItsSlot) {
  auto s = cluster_of("dgx1-v100");
  s.cluster.node.nic.rate = Sourced<Bandwidth>(gb(25));
  EXPECT_THAT(said("nic_slot", s),
              ElementsAre(StartsWith("node.nic.rate: 25.0 GB/s is above the 12.0 GB/s of node.pcie.x16")));
}

TEST(ClusterRules, ConnectionFasterThanItsNic) {
  auto s = cluster_of("p3.16xlarge");
  EXPECT_THAT(said("nic_connection", s), IsEmpty());
  s.cluster.node.nic.connection = Sourced<Bandwidth>(gb(3));
  EXPECT_THAT(said("nic_connection", s),
              ElementsAre(StartsWith("node.nic.connection: 3.00 GB/s in one connection is above the 2.75 GB/s")));
  s.cluster.node.nic.transport = NicTransport::Rdma;
  EXPECT_THAT(said("nic_connection", s), ElementsAre(HasSubstr("it is not used")));
}

TEST(ClusterRules, NicsThatCarryNothing) {
  auto s = cluster_of("dgx1-v100");
  s.cluster.node.nic.nic_of_gpu = {0, 0, 0, 0, 1, 1, 1, 1};  // NICs 2 and 3 are left over
  EXPECT_THAT(said("nic_count", s), ElementsAre(HasSubstr("2 carry nothing")));
  s.cluster.node.gpus = 2;
  s.cluster.node.nic.nic_of_gpu = {0, 1};
  EXPECT_THAT(said("nic_count", s), ElementsAre(HasSubstr("4 NICs for 2 GPUs")));
}

TEST(ClusterRules, NicBelowAnotherSwitch) {
  auto s = cluster_of("dgx1-v100");
  s.cluster.node.nic.nic_of_gpu[1] = 3;
  EXPECT_THAT(said("nic_detour", s),
              ElementsAre(HasSubstr("GPU 1 uses NIC 3 below PCIe switch 3, though its own switch 0 has one")));
}

// "100GBps" written for a port of 100 Gbit/s is exactly 800 Gbit/s and passes; of a 200 Gbit/s port it does not.
TEST(ClusterRules, PortRate) {
  auto s = cluster_of("abci");
  s.cluster.node.nic.rate = Sourced<Bandwidth>(gb(200));
  s.cluster.network.tiers[2].rate = Sourced<Bandwidth>(gb(100.1));
  EXPECT_THAT(said("port_rate", s), ElementsAre(AllOf(StartsWith("node.nic.rate: "), HasSubstr("Gbps")),
                                                StartsWith("network.tiers[2].rate: ")));
}

TEST(ClusterRules, LeafSlowerThanNic) {
  auto s = cluster_of("abci");
  s.cluster.network.tiers[0].rate = Sourced<Bandwidth>(gb(6));
  EXPECT_THAT(said("leaf_rate", s), ElementsAre(StartsWith("network.tiers[0].rate: ")));
}

TEST(ClusterRules, Latency) {
  auto s = cluster_of("abci");
  s.cluster.node.nic.latency = Sourced<Time>(Time::nanoseconds(9.9));
  s.cluster.network.tiers[1].hop = Sourced<Time>(Time::milliseconds(90));  // ms for ns
  EXPECT_THAT(said("latency", s),
              ElementsAre(StartsWith("node.nic.latency: 9.90 ns"), StartsWith("network.tiers[1].hop: 90.0 ms")));
  s.cluster.node.nic.latency = Sourced<Time>(Time::zero());  // contained in the library's cost
  EXPECT_THAT(said("latency", s), SizeIs(1));
}

// ABCI: a rack's 3 x 2 x 4 = 24 cables of 12 GB/s carry 288 GB/s, its 68 ports 816: 0.35. With 12 cables each, 864: no taper.
TEST(ClusterRules, Taper) {
  auto s = cluster_of("abci");
  EXPECT_THAT(said("taper", s), ElementsAre(AllOf(StartsWith("network.tiers[2]: taper 0.35 (1 : 2.8)"),
                                                  HasSubstr("288 GB/s"), HasSubstr("816 GB/s"))));
  s.cluster.network.tiers[2].cables = 12;
  EXPECT_THAT(said("taper", s), IsEmpty());
}

// Summit: 512 leaves with one cable to each director need 512 ports there; with 18 cables each, 9,216.
TEST(ClusterRules, SwitchPorts) {
  auto s = cluster_of("summit");
  EXPECT_THAT(said("switch_ports", s), IsEmpty());
  s.cluster.network.tiers[1].cables = 18;  // 512 leaves x 18
  EXPECT_THAT(said("switch_ports", s), ElementsAre(AllOf(StartsWith("network.tiers[1]: "), HasSubstr("9216 ports"))));
}

}  // namespace
}  // namespace lockstep::check
