// Layer, update and copy times on a GPU of round numbers: every figure by hand.
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "sim/device/gpu_model.hpp"
#include "tests/sim/device/hand_gpu.hpp"

namespace lockstep::sim {
namespace {

constexpr std::int64_t kParameters = 25557032;  // ResNet-50
constexpr int kTensors = 161;

double microseconds(Time t) { return t.microseconds(); }

TEST(GpuTimes, MemoryBoundLayerMovesItsBytes) {
  // Fused batch norm + ReLU over 64 x 112 x 112 at 32 images, fp16: 25,690,112 elements of 2 B. Forward reads and writes once: 102.8 us at
  // 1000 GB/s. Backward reads x and dy and writes dx: 154.1 us.
  GraphBuilder b("norm", {64, 112, 112});
  const LayerId norm = b.relu("relu", b.batch_norm("norm", b.input()));
  const ModelGraph g = fuse(std::move(b).finish(norm));
  const std::vector<LayerTime> t = GpuModel(hand_gpu(), Precision::Fp16, "").layer_times(g, 32);
  EXPECT_NEAR(microseconds(t[1].forward), 102.76, 0.01);
  EXPECT_NEAR(microseconds(t[1].backward), 154.14, 0.01);
  EXPECT_EQ(t[0].forward, Time::zero());  // input
}

// hand_gpu() is of capability 70: TF32 and BF16 run as fp32, 10 TFLOP/s; from 80 on at half of the half-precision rate, 50, and at 100.
TEST(GpuTimes, PeaksOfFormatsByCapability) {
  GpuSpec gpu = hand_gpu();
  EXPECT_EQ(peak_of(gpu, Precision::Fp32), FlopRate::teraflops(10));
  EXPECT_EQ(peak_of(gpu, Precision::Fp16), FlopRate::teraflops(100));
  EXPECT_EQ(peak_of(gpu, Precision::Tf32), FlopRate::teraflops(10));
  EXPECT_EQ(peak_of(gpu, Precision::Bf16), FlopRate::teraflops(10));
  gpu.compute_capability = 80;
  EXPECT_EQ(peak_of(gpu, Precision::Tf32), FlopRate::teraflops(50));
  EXPECT_EQ(peak_of(gpu, Precision::Bf16), FlopRate::teraflops(100));
  gpu.compute_capability = 0;  // a processor computes BF16 and not TF32
  EXPECT_EQ(peak_of(gpu, Precision::Tf32), FlopRate::teraflops(10));
  EXPECT_EQ(peak_of(gpu, Precision::Bf16), FlopRate::teraflops(100));
}

// Without an anchor of the precision the one that is computed most alike: of fp32 TF32's before fp16's.
TEST(GpuTimes, TheNearestAnchorStandsIn) {
  GpuSpec gpu = hand_gpu();
  gpu.compute_capability = 80;
  for (const Precision p : {Precision::Fp16, Precision::Tf32}) {
    Anchor anchor{"f", "resnet50", p, 64, {}};
    anchor.images_per_second = Sourced<double>(p == Precision::Fp16 ? 1000 : 500);
    gpu.anchors.push_back(anchor);
  }
  EXPECT_DOUBLE_EQ(GpuModel(gpu, Precision::Bf16, "").anchor_factor(),
                   GpuModel(gpu, Precision::Fp16, "").anchor_factor());
  // fp32 runs on other units than the tensor cores: their anchors say nothing of it.
  EXPECT_DOUBLE_EQ(GpuModel(gpu, Precision::Fp32, "").anchor_factor(), 1);
  EXPECT_FALSE(GpuModel(gpu, Precision::Fp32, "").anchored());
  gpu.compute_capability = 70;  // BF16 and TF32 are computed as fp32 there
  EXPECT_DOUBLE_EQ(GpuModel(gpu, Precision::Bf16, "").anchor_factor(),
                   GpuModel(gpu, Precision::Tf32, "").anchor_factor());
  gpu.compute_capability = 60;  // the same units for all
  EXPECT_NE(GpuModel(gpu, Precision::Fp32, "").anchor_factor(), 1);
  gpu.anchors[0].model = "bert";
  EXPECT_THROW(GpuModel(gpu, Precision::Fp16, ""), ConfigError);
}

TEST(GpuTimes, SmallKernelsCostAnIssueOrAGap) {
  // One image of 8 channels, 4 x 4: nothing to move, so one launch per direction: 5 us of issue, or 9 us of gap where that is larger.
  GraphBuilder b("tiny", {8, 4, 4});
  const LayerId norm = b.batch_norm("norm", b.input());
  const ModelGraph g = fuse(std::move(b).finish(norm));
  GpuSpec spec = hand_gpu();
  EXPECT_NEAR(microseconds(GpuModel(spec, Precision::Fp32, "").layer_times(g, 1)[1].forward), 5, 1e-9);
  spec.kernel_gap = Sourced(Time::microseconds(9));
  EXPECT_NEAR(microseconds(GpuModel(spec, Precision::Fp32, "").layer_times(g, 1)[1].forward), 9, 1e-9);
}

TEST(GpuTimes, UpdateMovesTheState) {
  GpuSpec spec = hand_gpu();
  spec.dispatch = Sourced(Time::microseconds(1));
  spec.kernel_gap = Sourced(Time::microseconds(1));
  // fp32: weight, gradient, velocity in, weight, velocity out: 20 B. fp16: the gradient has 2 B, a 2 B copy is written: also 20 B.
  // 25,557,032 x 20 B at 1000 GB/s = 511.1 us, more than 161 launches of 1 us.
  for (const Precision p : {Precision::Fp32, Precision::Fp16}) {
    const GpuModel m(spec, p, "");
    EXPECT_NEAR(microseconds(m.update_time(kParameters, kTensors, OptimizerKind::Sgd, NormKernels::Batched)), 511.14,
                0.01);
  }
}

TEST(GpuTimes, LarsPerLayerPaysForItsLaunches) {
  const GpuModel m(hand_gpu(), Precision::Fp16, "");
  // Batched: 26 B per parameter = 664.5 us; three launches (15 us) hide behind it. Per layer: two norms and the update of each of 161 tensors,
  // 483 x 5 us = 2415 us: the difference that Fujitsu's batched norm kernel removes (1.75 ms here).
  EXPECT_NEAR(microseconds(m.update_time(kParameters, kTensors, OptimizerKind::Lars, NormKernels::Batched)), 664.48,
              0.01);
  EXPECT_NEAR(microseconds(m.update_time(kParameters, kTensors, OptimizerKind::Lars, NormKernels::PerLayer)), 2415,
              1e-6);
  EXPECT_GT(m.update_time(kParameters, kTensors, OptimizerKind::Lars, NormKernels::Batched),
            m.update_time(kParameters, 1, OptimizerKind::Sgd, NormKernels::Batched));
}

TEST(GpuTimes, PackReadsAndWrites) {
  const GpuModel m(hand_gpu(), Precision::Fp16, "");
  EXPECT_NEAR(microseconds(m.pack_time(Bytes(25000000), 40)), 50, 1e-6);  // 50 MB at 1000 GB/s
  EXPECT_NEAR(microseconds(m.pack_time(Bytes(100), 1)), 5, 1e-6);         // one launch
  EXPECT_EQ(m.pack_time(Bytes(0), 0), Time::zero());
}

TEST(GpuTimes, AnchorScalesEverythingByOneFactor) {
  const ModelGraph g = fuse(build_model("resnet18"));
  GpuSpec spec = hand_gpu();
  const GpuModel bare(spec, Precision::Fp32, "");
  const double rate = bare.images_per_second(g, 64);
  EXPECT_FALSE(bare.anchored());
  EXPECT_EQ(bare.anchor(), nullptr);
  spec.anchors = {{"other", "resnet18", Precision::Fp32, 64, Sourced(rate)},
                  {"half", "resnet18", Precision::Fp32, 64, Sourced(rate / 2)}};
  const GpuModel m(spec, Precision::Fp32, "half");
  EXPECT_NEAR(m.anchor_factor(), 2, 1e-9);
  EXPECT_NEAR(m.images_per_second(g, 64), rate / 2, 1e-6 * rate);
  const auto was = bare.layer_times(g, 8), is = m.layer_times(g, 8);
  for (std::size_t i = 0; i < is.size(); ++i) {
    EXPECT_LE(std::abs((is[i].forward - was[i].forward * 2).picoseconds()), 1);
    EXPECT_LE(std::abs((is[i].backward - was[i].backward * 2).picoseconds()), 1);
  }
  EXPECT_NEAR(GpuModel(spec, Precision::Fp32, "").anchor_factor(), 1, 1e-9);  // the first
  EXPECT_THROW(GpuModel(spec, Precision::Fp32, "third"), ConfigError);
}

TEST(GpuTimes, BatchOfNoneIsOurError) {
  const GpuModel m(hand_gpu(), Precision::Fp32, "");
  EXPECT_THROW(m.layer_times(fuse(build_model("resnet18")), 0), InternalError);
}

}  // namespace
}  // namespace lockstep::sim
