// Each rule for run files, on runs read from text with the files that they name; and what a step needs at least.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/model/zoo.hpp"
#include "experiments/check/step_memory.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "tests/experiments/check/subjects.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep::check {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const char* kRun =
    "[training]\nglobal_batch = 256\nprecision = \"fp16\"\n[allreduce]\nlibrary = \"nccl-2.8\"\nprotocol = "
    "\"simple\"\n[cluster]\nfile = \"abci\"\ngpus = 8\n";

std::vector<std::string> said(const char* rule, const std::vector<std::string>& sets = {}) {
  const Scratch scratch;
  return check::said(run_rules(), rule, read_inputs(scratch.write("run.toml", kRun), sets, kData));
}

TEST(RunRules, EveryRuleIsSilentOnAGoodRun) {
  for (const auto& rule : run_rules()) EXPECT_THAT(said(rule.name), IsEmpty()) << rule.name;
}

TEST(RunRules, BatchThatDoesNotFit) {
  EXPECT_THAT(
      said("batch_memory", {"training.global_batch=8192"}),  // 1,024 per GPU
      ElementsAre(AllOf(StartsWith("training.global_batch: 1024 images"), HasSubstr("v100-sxm2-16gb has 16.0 GiB"))));
  EXPECT_THAT(said("batch_memory", {"training.global_batch=8192", "training.accumulation=8"}), IsEmpty());
  EXPECT_THAT(said("batch_memory", {"schedule.batches=[[0, 256], [30, 8192]]"}), ElementsAre(HasSubstr("1024 images")));
}

TEST(RunRules, SmallBatchesUnderBatchNorm) {
  EXPECT_THAT(said("small_batch", {"training.global_batch=32"}), ElementsAre(HasSubstr("4 images")));
  EXPECT_THAT(said("small_batch", {"training.global_batch=32", "model.name=alexnet"}), IsEmpty());
}

TEST(RunRules, PartNode) {
  EXPECT_THAT(said("part_node", {"cluster.gpus=6", "training.global_batch=192"}), ElementsAre(HasSubstr("leave 2 of")));
  EXPECT_THAT(said("part_node", {"cluster.gpus=6", "training.global_batch=192", "cluster.placement=spread"}),
              ElementsAre(HasSubstr("leave 2 of")));
}

TEST(RunRules, Unanchored) {
  EXPECT_THAT(said("unanchored", {"cluster.gpu=p40"}),
              ElementsAre(StartsWith("training.precision: p40 has no single-GPU throughput in fp16")));
}

TEST(RunRules, FormatsThatTheGpuLacks) {
  EXPECT_THAT(said("format", {"training.precision=bf16"}),
              ElementsAre(StartsWith("training.precision: v100-sxm2-16gb has no units for bf16")));
  EXPECT_THAT(said("format", {"training.precision=tf32", "cluster.gpu=k80"}), ElementsAre(HasSubstr("for tf32")));
  EXPECT_THAT(said("format", {"training.precision=bf16", "cluster.gpu=a100-sxm4-40gb"}), IsEmpty());
  EXPECT_THAT(said("format", {}), IsEmpty());
}

// On ABCI the adapters sit on the sockets' own ports; on DGX-1 below the GPUs' switches.
TEST(RunRules, Ll128NeedsACommonSwitch) {
  EXPECT_THAT(said("ll128", {"allreduce.protocol=auto"}), ElementsAre(StartsWith("allreduce.protocol: ")));
  EXPECT_THAT(said("ll128", {"allreduce.protocol=auto", "cluster.file=dgx1-v100", "cluster.gpus=16"}), IsEmpty());
  EXPECT_THAT(said("ll128", {"allreduce.protocol=auto", "cluster.gpus=4"}), IsEmpty());
  EXPECT_THAT(said("ll128", {"allreduce.protocol=auto", "allreduce.algorithm=library", "allreduce.library=nccl-2.8"}),
              IsEmpty());
}

TEST(RunRules, GpudirectFromHostMemory) {
  EXPECT_THAT(said("gpudirect", {"allreduce.gpudirect=true", "allreduce.library=gloo-tcp"}),
              ElementsAre(StartsWith("allreduce.gpudirect: ")));
}

/// 3 x 4 x 4 images; convolution to 2 channels, batch norm, ReLU, average, 5 classes.
ModelGraph tiny() {
  GraphBuilder b("tiny", {3, 4, 4});
  const LayerId conv = b.conv("conv", b.input(), 2, 3, 1, 1);
  const LayerId pooled = b.global_avg_pool("pool", b.relu("relu", b.batch_norm("bn", conv)));
  return std::move(b).finish(b.linear("fc", pooled, 5));
}

// Kept: what conv reads (48), what bn reads (32), what fc reads (2): 82 values per image. Parameters: 54 + 4 + 10 + 5 = 73.
// fp32, two images: 2 x 82 x 4 + 73 x (4 + 4 + 4) = 656 + 876. fp16: 2 x 82 x 2 + 73 x (4 + 4 + 2 + 2) = 328 + 876.
TEST(StepMemory, ByHand) {
  EXPECT_EQ(least_memory(tiny(), Precision::Fp32, 2), Bytes(1532));
  EXPECT_EQ(least_memory(tiny(), Precision::Fp16, 2), Bytes(1204));
}

// conv moves 48 + 32 forward and for the gradient of its weights, none for that of the images; fc 2 + 5 three times: 181 values.
TEST(StepMemory, TrafficByHand) {
  EXPECT_EQ(least_traffic(tiny(), Precision::Fp32), Bytes(181 * 4));
  EXPECT_EQ(least_traffic(tiny(), Precision::Fp16), Bytes(181 * 2));
}

// 208 images of ResNet-50 ran on 16 GB (MLPerf v0.6, DGX-1).
TEST(StepMemory, PublishedBatchesFit) {
  const ModelGraph graph = build_model("resnet50");
  EXPECT_LT(least_memory(graph, Precision::Fp16, 208), Bytes::gib(16));
  EXPECT_NEAR(static_cast<double>(least_memory(graph, Precision::Fp16, 2).count() -
                                  least_memory(graph, Precision::Fp16, 1).count()),
              40e6, 4e6);
}

}  // namespace
}  // namespace lockstep::check
