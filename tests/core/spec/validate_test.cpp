#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> texts(const std::vector<Fault>& faults) {
  std::vector<std::string> out;
  for (const Fault& f : faults) out.push_back(f.key + ": " + f.message);
  return out;
}

TEST(RunSpec, DefaultsAreValid) { EXPECT_THAT(texts(validate(RunSpec{})), IsEmpty()); }

TEST(RunSpec, BatchMustDivide) {
  RunSpec run;
  run.cluster.gpus = 2048;
  run.training.global_batch = 80000;
  // 39 x 2048 = 79,872.
  EXPECT_THAT(texts(validate(run)), Contains(HasSubstr("80000 images are not divisible by 2048 GPUs; expected a multiple of 2048, such as 79872")));
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
  run.cluster.placement = "pakced";
  EXPECT_THAT(texts(validate(run)), Contains(HasSubstr("did you mean \"packed\"?")));
}

TEST(RunSpec, StepsPerEpoch) {
  EXPECT_EQ(steps_per_epoch(1281167, 81920), 16);  // 15.6
  EXPECT_EQ(steps_per_epoch(1281167, 86016), 15);  // 14.9: Fujitsu's 15
  EXPECT_EQ(steps_per_epoch(256, 256), 1);
}

ClusterSpec two_nodes() {
  ClusterSpec c;
  c.nodes = 2;
  c.node.gpus = 2;
  c.node.nic.count = 1;
  c.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(12));
  c.node.nic.nic_of_gpu = {0, 0};
  c.network.kind = NetworkKind::Star;
  c.network.tiers.push_back({});
  return c;
}

TEST(ClusterSpec, MinimalIsValid) { EXPECT_THAT(texts(validate(two_nodes())), IsEmpty()); }

TEST(ClusterSpec, NotConnected) {
  ClusterSpec c = two_nodes();
  c.network.kind = NetworkKind::None;
  EXPECT_THAT(texts(validate(c)), Contains(HasSubstr("not connected")));
  c = two_nodes();
  c.network.kind = NetworkKind::FatTree;
  c.network.tiers[0].group = 1;  // two leaves and nothing above
  c.network.tiers[0].rate = Sourced(Bandwidth::gigabytes_per_second(12));
  EXPECT_THAT(texts(validate(c)), Contains(HasSubstr("the topology is not connected: the top tier leaves 2 separate groups")));
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
  c.node.nic.cpu = {0};
  const auto t = texts(validate(c));
  EXPECT_THAT(t, Contains(HasSubstr("local rank 0 is below 2 switches")));
  EXPECT_THAT(t, Contains(HasSubstr("local rank 1 is below 0 switches")));
}

}  // namespace
}  // namespace lockstep
