// Each rule for GPU and library files: silent on a good one, and what it says when that one is spoilt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/experiments/check/subjects.hpp"

namespace lockstep::check {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> said(const char* rule, const GpuSpec& s) { return check::said(gpu_rules(), rule, s); }
std::vector<std::string> said(const char* rule, const LibrarySpec& s) { return check::said(library_rules(), rule, s); }
GpuSpec v100() { return read_gpu("v100-sxm2-16gb", kData); }

TEST(GpuRules, EveryRuleIsSilentOnV100) {
  for (const auto& rule : gpu_rules()) EXPECT_TRUE(rule.find(v100()).empty()) << rule.name;
}

TEST(GpuRules, MemoryRates) {
  auto g = v100();
  g.memory_achieved.high = Bandwidth::gigabytes_per_second(901);
  EXPECT_THAT(said("memory_rates", g), ElementsAre("memory_achieved: 901 GB/s is above memory_peak, 900 GB/s"));
  g.memory_achieved = Sourced<Bandwidth>(Bandwidth::gigabytes_per_second(360));  // reads only, or writes only
  EXPECT_THAT(said("memory_rates", g), ElementsAre(HasSubstr("40 %")));
}

TEST(GpuRules, MemorySize) {
  auto g = v100();
  g.memory = Sourced<Bytes>(Bytes::mib(16));  // MiB for GiB
  EXPECT_THAT(said("memory_size", g), ElementsAre(StartsWith("memory: 16.0 MiB")));
}

TEST(GpuRules, Peaks) {
  auto g = v100();
  g.half_peak = Sourced<FlopRate>(FlopRate::teraflops(12));
  EXPECT_THAT(said("peaks", g), ElementsAre(StartsWith("half_peak: ")));
  g = v100();
  g.compute_capability = 90;  // an H100 on PCIe: 51 TFLOP/s in fp32, 756 in fp16, 1,513 of sparse matrices
  g.fp32_peak = Sourced<FlopRate>(FlopRate::teraflops(51));
  g.half_peak = Sourced<FlopRate>(FlopRate::teraflops(756));
  EXPECT_THAT(said("peaks", g), IsEmpty());
  g.half_peak = Sourced<FlopRate>(FlopRate::teraflops(1513));
  EXPECT_THAT(said("peaks", g), ElementsAre(StartsWith("half_peak: 1.51 PFLOP/s is 30 times")));
  g = v100();
  g.fp32_peak = Sourced<FlopRate>(FlopRate::per_second(15.7e9));  // GFLOPS for TFLOPS
  EXPECT_THAT(said("peaks", g), ElementsAre(StartsWith("fp32_peak: ")));
}

TEST(GpuRules, LaunchAndNoise) {
  auto g = v100();
  g.dispatch = Sourced<Time>(Time::milliseconds(5));
  EXPECT_THAT(said("launch", g), ElementsAre(StartsWith("dispatch: 5.00 ms")));
  g.gpu_spread.value = 0.15;  // 15 for 1.5 %
  EXPECT_THAT(said("noise", g), ElementsAre(StartsWith("gpu_spread: ")));
}

// ResNet-50 takes 24.3 GFLOP per trained image: 15.7 TFLOP/s are 646 images/s in fp32, 125 are 5,144 in fp16. Eight GPUs' 11,220 images/s in
// fp16 are 273 TFLOP/s, 218 %.
TEST(GpuRules, AnchorAboveThePeak) {
  auto g = v100();
  g.anchors[0].images_per_second.value = 11220;
  EXPECT_THAT(said("anchor_flops", g),
              ElementsAre(AllOf(StartsWith("anchor[0].images_per_second: "), HasSubstr("218 %"))));
  g.anchors[0].images_per_second.value = 5140;
  EXPECT_THAT(said("anchor_flops", g), IsEmpty());
}

// TF32 runs on tensor cores: A100's 1,056 images/s are 25.7 TFLOP/s, above the 19.5 of fp32 and below the 156 of TF32.
TEST(GpuRules, Tf32HasItsOwnPeak) { EXPECT_THAT(said("anchor_flops", read_gpu("a100-sxm4-80gb", kData)), IsEmpty()); }

TEST(GpuRules, AnchorAboveTheMemory) {
  auto g = v100();
  g.memory_peak = Sourced<Bandwidth>(Bandwidth::gigabytes_per_second(90));  // a digit lost
  EXPECT_THAT(said("anchor_traffic", g),
              testing::Contains(AllOf(StartsWith("anchor[0].images_per_second: "), HasSubstr("memory_peak"))));
}

TEST(GpuRules, AnchorBatchThatDoesNotFit) {
  auto g = v100();
  g.anchors[0].batch = 1536;  // of eight GPUs
  EXPECT_THAT(said("anchor_memory", g),
              ElementsAre(AllOf(StartsWith("anchor[0].batch: 1536 images"), HasSubstr("16.0 GiB"))));
}

TEST(GpuRules, AnchorOfAnUnknownModel) {
  auto g = v100();
  g.anchors[1].model = "resnet51";
  EXPECT_THAT(said("anchor_model", g), ElementsAre(StartsWith("anchor[1].model: ")));
  EXPECT_THAT(said("anchor_flops", g), IsEmpty());
}

TEST(LibraryRules, EveryRuleIsSilentOnNccl) {
  for (const auto& rule : library_rules())
    EXPECT_TRUE(rule.find(read_library("nccl-2.27", kData)).empty()) << rule.name;
}

TEST(LibraryRules, MessageCosts) {
  auto l = read_library("nccl-2.27", kData);
  l.protocols[0].tree.pcie = Time::milliseconds(4);
  EXPECT_THAT(said("message_cost", l), ElementsAre(StartsWith("protocols[0].tree_pcie: 4.00 ms")));
  l.protocols[1].ring.network = Time::nanoseconds(100);
  EXPECT_THAT(said("path_order", l),
              ElementsAre(StartsWith("protocols[1].ring_network: 100 ns between nodes is less than 600 ns")));
}

TEST(LibraryRules, NamesOfProtocols) {
  auto l = read_library("nccl-2.27", kData);
  l.protocols[2].name = "LL_128";
  EXPECT_THAT(said("protocol_name", l), ElementsAre(StartsWith("protocols[2].name: \"LL_128\" is not \"ll128\"")));
  l.protocols[2].name = "mine";
  EXPECT_THAT(said("protocol_name", l), IsEmpty());
}

TEST(LibraryRules, FlagsTakeTheirShare) {
  auto l = read_library("nccl-2.27", kData);
  l.protocols[1].efficiency = 1;
  EXPECT_THAT(said("flags", l),
              ElementsAre(StartsWith("protocols[1].efficiency: 1 of the bytes sent; ll carries 0.5")));
}

TEST(LibraryRules, Launch) {
  auto l = read_library("nccl-2.27", kData);
  l.launch = Sourced<Time>(Time::milliseconds(20));
  l.negotiate = Sourced<Time>(Time::seconds(1));
  EXPECT_THAT(said("library_launch", l), ElementsAre(StartsWith("launch: 20.0 ms"), StartsWith("negotiate: 1.00 s")));
}

}  // namespace
}  // namespace lockstep::check
