#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

std::vector<std::string> texts(const std::vector<Fault>& faults) {
  std::vector<std::string> out;
  for (const Fault& f : faults) out.push_back(f.key + ": " + f.message);
  return out;
}

TEST(RunSpec, DefaultsAreValid) { EXPECT_THAT(texts(validate(RunSpec{})), IsEmpty()); }

TEST(RunSpec, TracesTheRanksThatThereAre) {
  RunSpec run;
  run.cluster.gpus = 2;
  run.output.trace_ranks = {0, 7, 1};
  EXPECT_THAT(texts(validate(run)), IsEmpty());
  EXPECT_EQ(traced_ranks(run), (std::vector<Rank>{Rank(0), Rank(1)}));
  run.output.trace_ranks = {-1};
  EXPECT_THAT(texts(validate(run)), ElementsAre(HasSubstr("rank -1 does not exist")));
}

TEST(RunSpec, BatchMustDivide) {
  RunSpec run;
  run.cluster.gpus = 2048;
  run.training.global_batch = 80000;
  // 39 x 2048 = 79,872.
  EXPECT_THAT(
      texts(validate(run)),
      Contains(HasSubstr("80000 images are not divisible by 2048 GPUs; expected a multiple of 2048, such as 79872")));
}

TEST(RunSpec, LinksAndOtherJobs) {
  RunSpec run;
  run.simulation.slow_links = {{"", 0.5}, {"node0.nic0", 0}, {"node0.nic1", std::numeric_limits<double>::quiet_NaN()}};
  run.simulation.failed_links = {""};
  run.simulation.background = 1;
  EXPECT_THAT(texts(validate(run)),
              UnorderedElementsAre(HasSubstr("simulation.slow_links: no link is named"),
                                   HasSubstr("factor 0 of node0.nic0"), HasSubstr("factor nan of node0.nic1"),
                                   HasSubstr("simulation.failed_links: no link is named"),
                                   HasSubstr("simulation.background: 1 is out of range")));
}

TEST(RunSpec, EveryFaultAtOnce) {
  RunSpec run;
  run.training.epochs = 0;
  run.optimizer.momentum = 1;
  run.schedule.base_lr = -1;
  run.simulation.slow_ranks = {{5, 1.3}};
  run.buckets.policy = BucketPolicy::Fixed;
  run.allreduce.across = AllreduceAlgorithm::Torus;
  EXPECT_EQ(validate(run).size(), 6u);
}

TEST(RunSpec, UnknownWordNamesTheNearest) {
  RunSpec run;
  run.allreduce.among = {"tre"};
  EXPECT_THAT(texts(validate(run)), Contains(HasSubstr("did you mean \"tree\"?")));
}

TEST(RunSpec, StepsPerEpoch) {
  EXPECT_EQ(steps_per_epoch(1281167, 81920), 16);  // 15.6
  EXPECT_EQ(steps_per_epoch(1281167, 86016), 15);  // 14.9: Fujitsu's 15
  EXPECT_EQ(steps_per_epoch(256, 256), 1);
}

TEST(RunSpec, CountsBeyondAnyMachineAreRefused) {
  // Each of these once overflowed a product or ran for ever.
  RunSpec run;
  run.training.global_batch = 4096000000000000000;
  run.model.classes = 2000000000;
  run.data.training_images = 9000000000000000000;
  const auto t = texts(validate(run));
  EXPECT_THAT(t, Contains(HasSubstr("training.global_batch: 4096000000000000000 images; expected 1 to 1000000000")));
  EXPECT_THAT(t, Contains(HasSubstr("model.classes: 2000000000 classes; expected 1 to 1000000")));
  EXPECT_THAT(t, Contains(HasSubstr("data.training_images: 9000000000000000000 images; expected 1 to 1000000000000")));
}

// The last rank was worked out from a count that is itself at fault: -2^31 - 1 overflows.
TEST(RunSpec, RanksOfANegativeNumberOfGpus) {
  RunSpec run;
  run.cluster.gpus = std::numeric_limits<int>::min();
  run.simulation.slow_ranks = {{7, 1.3}};
  run.output.trace_ranks = {9};
  const auto t = texts(validate(run));
  EXPECT_THAT(t, Contains(HasSubstr("cluster.gpus: -2147483648 GPUs; expected 1 to")));
  EXPECT_THAT(t, Contains(HasSubstr("slow_ranks: rank 7 does not exist; ranks are 0 to 0")));
}

TEST(RunSpec, TooManyStepsAreRefused) {
  // 1e6 epochs of 1,281,167 images in batches of 256: 1e6 x 5004.6 = 5e9 steps.
  RunSpec run;
  run.training.epochs = 1e6;
  EXPECT_THAT(texts(validate(run)), Contains(HasSubstr("are about 5e+09 steps; expected at most 100000000")));
  run.training.epochs = 1e4;  // 5e7
  EXPECT_THAT(texts(validate(run)), IsEmpty());
}

TEST(RunSpec, RateStepInsideTheWarmup) {
  RunSpec run;
  run.schedule.warmup_epochs = 5;
  run.schedule.step_epochs = {3, 60};
  EXPECT_THAT(texts(validate(run)), Contains(HasSubstr("drops at epoch 3, inside the warm-up of 5 epochs")));
  run.schedule.step_epochs = {5, 60};
  EXPECT_THAT(texts(validate(run)), IsEmpty());
  run.schedule.step_epochs = {3, 60};
  run.schedule.warmup_epochs = 500;  // longer than the run: shortened with a warning by the loop, no fault
  EXPECT_THAT(texts(validate(run)), IsEmpty());
  run.schedule.warmup_epochs = 5;
  run.schedule.warmup = WarmupKind::None;
  EXPECT_THAT(texts(validate(run)), IsEmpty());
}

TEST(RunSpec, NotANumberIsNeverInRange) {
  RunSpec run;
  run.training.epochs = run.optimizer.momentum = run.schedule.base_lr = run.optimizer.trust =
      std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(validate(run).size(), 4u);
}

ClusterSpec two_nodes() {
  ClusterSpec c;
  c.nodes = 2;
  c.node.gpus = 2;
  c.node.pcie.switches = {{0, 1}};
  c.node.pcie.cpu_of_switch = {0};
  c.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(12));
  c.node.nic.count = 1;
  c.node.nic.cpu = {0};
  c.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  c.node.nic.nic_of_gpu = {0, 0};
  c.network.kind = NetworkKind::Star;
  c.network.tiers.push_back({});
  return c;
}

TEST(ClusterSpec, MinimalIsValid) { EXPECT_THAT(texts(validate(two_nodes())), IsEmpty()); }

TEST(ClusterSpec, GpusOfANodeMustReachEachOther) {
  ClusterSpec c = two_nodes();
  c.node.pcie = {};
  EXPECT_THAT(
      texts(validate(c)),
      ElementsAre("node.pcie: the 2 GPUs of a node cannot reach each other; expected [node.pcie] or [node.nvlink]"));
  c.node.nvlink.present = true;
  c.node.nvlink.pairs = {{0, 1, 1}};
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(20));
  EXPECT_THAT(texts(validate(c)), IsEmpty());
}

TEST(ClusterSpec, APortIsJoinedToOneLeaf) {
  ClusterSpec c = two_nodes();
  c.network.kind = NetworkKind::FatTree;
  c.network.tiers[0].group = 2;
  c.network.tiers[0].rate = Sourced(Bandwidth::gigabytes_per_second(12));
  EXPECT_THAT(texts(validate(c)), IsEmpty());
  c.network.tiers[0].switches = 2;
  EXPECT_THAT(texts(validate(c)), ElementsAre(HasSubstr("tiers[0].switches: 2 switches; expected 1")));
}

// 10 nodes of 2 ports, racks of 4 nodes, leaves of 3 ports: 3 leaves a rack hold 8 ports, and 3 racks hold 10 nodes.
TEST(ClusterSpec, LeavesByHand) {
  NetworkSpec n;
  n.tiers.push_back({});
  n.tiers[0].group = 3;
  EXPECT_EQ(n.rack_leaves(2), 0);
  EXPECT_EQ(n.leaves(10, 2), 7);
  n.nodes_per_rack = 4;
  EXPECT_EQ(n.rack_leaves(2), 3);
  EXPECT_EQ(n.leaves(10, 2), 9);
  n.leaves_per_rack = 4;
  EXPECT_EQ(n.leaves(10, 2), 12);
}

TEST(ClusterSpec, NicOfEveryGpu) {
  ClusterSpec c = two_nodes();
  c.node.nic.nic_of_gpu = {0, 1};
  EXPECT_THAT(texts(validate(c)), ElementsAre("node.nic.nic_of_gpu: NIC 1 does not exist; NICs are 0 to 0"));
  c.node.nic.nic_of_gpu = {0};
  EXPECT_THAT(texts(validate(c)), ElementsAre("node.nic.nic_of_gpu: 1 entries for 2 GPUs"));
  c.node.nic.nic_of_gpu = {0, 0};
  c.node.nic.connections = 0;
  EXPECT_THAT(texts(validate(c)), ElementsAre("node.nic.connections: 0 connections; expected 1 to 256"));
  c.node.nic.connections = 1;
}

TEST(ClusterSpec, CountsAndRates) {
  ClusterSpec c = two_nodes();
  c.nodes = 0;
  c.node.gpus = 0;
  c.node.nic.nic_of_gpu = {};
  c.node.nic.rate = Sourced(Bandwidth::bytes_per_second(0));
  c.network.tiers[0].switches = 0;
  c.network.tiers[0].cables = -1;
  EXPECT_THAT(
      texts(validate(c)),
      UnorderedElementsAre(HasSubstr("0 nodes"), HasSubstr("0 GPUs per node"), HasSubstr("a rate of 0"),
                           HasSubstr("tiers[0].switches: 0 switches"), HasSubstr("tiers[0].cables: -1 cables")));
}

// Each GPU of the count was looked for below the PCIe switches: a fault for each of two thousand million.
TEST(ClusterSpec, ACountOfGpusBeyondAnyNodeIsOneFault) {
  for (const int gpus : {std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
    ClusterSpec c = two_nodes();
    c.node.gpus = gpus;
    c.node.nic.cpu = {0};
    c.node.nvlink.present = true;
    c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(25));
    c.node.nvlink.pairs = {{0, 1, 1}};
    c.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(12));
    c.node.pcie.switches = {{0, 1}};
    c.node.pcie.cpu_of_switch = {0};
    EXPECT_THAT(texts(validate(c)), UnorderedElementsAre(HasSubstr("GPUs per node; expected 1 to 64"),
                                                         HasSubstr("nic_of_gpu: 2 entries for")));
  }
}

TEST(ClusterSpec, TwoSocketsNeedARateBetweenThem) {
  ClusterSpec c = two_nodes();
  c.node.nic.cpu = {0};
  c.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(12));
  c.node.pcie.switches = {{0}, {1}};
  c.node.pcie.cpu_of_switch = {0, 1};
  EXPECT_THAT(texts(validate(c)),
              ElementsAre(StartsWith("node.pcie.host_link: missing or 0, and cpu_of_switch names 2")));
  c.node.pcie.host_link = Sourced(Bandwidth::gigabytes_per_second(10));
  EXPECT_THAT(validate(c), IsEmpty());
}

TEST(ClusterSpec, CopiesThroughHostMemory) {
  ClusterSpec c = two_nodes();
  for (const double rate : {-1e9, std::numeric_limits<double>::infinity()}) {
    c.node.pcie.host_copy = Sourced(Bandwidth::bytes_per_second(rate));  // also without a PCIe section
    EXPECT_THAT(texts(validate(c)), Contains(StartsWith("node.pcie.host_copy: a rate of"))) << rate;
  }
  c.node.pcie.host_copy = Sourced(Bandwidth::gigabytes_per_second(7));
  EXPECT_THAT(validate(c), IsEmpty());
}

TEST(NodeSpec, MeetsInHost) {
  NodeSpec node;
  node.gpus = 4;
  EXPECT_FALSE(node.meets_in_host(0, 4));  // no PCIe section
  node.pcie.switches = {{0, 1}, {2, 3}};
  EXPECT_TRUE(node.meets_in_host(0, 4));
  EXPECT_TRUE(node.meets_in_host(1, 3));
  EXPECT_FALSE(node.meets_in_host(0, 2));
  EXPECT_FALSE(node.meets_in_host(2, 4));
  node.nvlink.present = true;
  node.nvlink.pairs = {{0, 2, 1}, {3, 0, 1}, {1, 2, 1}};
  EXPECT_TRUE(node.meets_in_host(0, 4));  // 1 and 3
  node.nvlink.pairs.push_back({1, 3, 1});
  EXPECT_FALSE(node.meets_in_host(0, 4));
  node.nvlink.pairs.clear();
  node.nvlink.through_switch = true;
  EXPECT_FALSE(node.meets_in_host(0, 4));
}

// Ports of a rack: both products are beyond 32 bits.
TEST(ClusterSpec, RacksOfManyPortsDoNotOverflow) {
  ClusterSpec c = two_nodes();
  c.network.nodes_per_rack = 2000000000;
  c.network.leaves_per_rack = 100000;
  c.network.tiers[0].group = 50000;  // 5e9 ports for 2e9 NICs
  EXPECT_THAT(texts(validate(c)), IsEmpty());
  c.network.leaves_per_rack = 10000;  // 5e8
  EXPECT_THAT(texts(validate(c)), ElementsAre(HasSubstr("2000000000 nodes with 1 NICs do not fit 10000 leaves")));
}

TEST(ClusterSpec, SeveralNodesNeedNics) {
  ClusterSpec c = two_nodes();
  c.node.nic = {};
  EXPECT_THAT(texts(validate(c)), ElementsAre("node.nic.count: 2 nodes cannot reach each other without a NIC"));
}

TEST(ClusterSpec, TiersJoinAllNodes) {
  // 8 nodes, leaves of 2 ports: 4 leaves; groups of 2 leaves leave 2 groups; one more tier over all joins them.
  ClusterSpec c = two_nodes();
  c.nodes = 8;
  c.network.kind = NetworkKind::FatTree;
  TierSpec tier;
  tier.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  tier.group = 2;
  c.network.tiers = {tier, tier};
  EXPECT_THAT(texts(validate(c)), ElementsAre(HasSubstr("the top tier leaves 2 separate groups")));
  tier.group = 0;
  c.network.tiers.push_back(tier);
  EXPECT_THAT(texts(validate(c)), IsEmpty());
}

TEST(ClusterSpec, NotConnected) {
  ClusterSpec c = two_nodes();
  c.network.kind = NetworkKind::None;
  EXPECT_THAT(texts(validate(c)), Contains(HasSubstr("not connected")));
  c = two_nodes();
  c.network.kind = NetworkKind::FatTree;
  c.network.tiers[0].group = 1;  // two leaves and nothing above
  c.network.tiers[0].rate = Sourced(Bandwidth::gigabytes_per_second(12));
  EXPECT_THAT(texts(validate(c)),
              Contains(HasSubstr("the topology is not connected: the top tier leaves 2 separate groups")));
}

TEST(ClusterSpec, NvlinkPairs) {
  ClusterSpec c = two_nodes();
  c.node.nvlink.present = true;
  c.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(24));
  c.node.nvlink.pairs = {{0, 1, 2}, {1, 0, 1}, {0, 0, 1}, {0, 5, 1}};
  const auto t = texts(validate(c));
  EXPECT_THAT(t, Contains(HasSubstr("pair 1-0 is given twice")));
  EXPECT_THAT(t, Contains(HasSubstr("joins a GPU to itself")));
  EXPECT_THAT(t, Contains(HasSubstr("outside 0 to 1")));
}

TEST(ClusterSpec, PcieCoversEveryGpuOnce) {
  ClusterSpec c = two_nodes();
  c.node.pcie.switches = {{0}, {0}};
  c.node.pcie.cpu_of_switch = {0, 0};
  c.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(12));
  c.node.nic.cpu = {-1};
  const auto t = texts(validate(c));
  EXPECT_THAT(t, Contains(HasSubstr("local rank 0 is below 2 switches")));
  EXPECT_THAT(t, Contains(HasSubstr("local rank 1 is below 0 switches")));
  EXPECT_THAT(t, Contains(HasSubstr("node.nic.cpu: socket -1")));
}

}  // namespace
}  // namespace lockstep
