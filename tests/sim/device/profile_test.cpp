#include <gtest/gtest.h>

#include "core/model/zoo.hpp"
#include "sim/device/gpu_model.hpp"
#include "sim/device/profile.hpp"

namespace lockstep::sim {
namespace {

ProfileRow row(const std::string& operation, std::int64_t batch, double forward_us, double backward_us) {
  return {"resnet20",
          32,
          Precision::Fp32,
          batch,
          operation,
          Time::microseconds(forward_us),
          Time::microseconds(backward_us)};
}

// 10 us at 8 images and 30 us at 16: 12 images lie half-way, 20 us; 32 images twice those of 16, 60; 4 half those of 8, 5.
TEST(Profile, BetweenAndBeyondMeasuredBatches) {
  const ModelGraph graph = fuse(build_model("resnet20"));
  const Profile profile({row("conv1", 8, 10, 20), row("conv1", 16, 30, 40)}, Precision::Fp32);
  const auto forward = [&](std::int64_t batch) { return profile.time(graph, "conv1", batch)->forward; };
  EXPECT_EQ(forward(8), Time::microseconds(10));
  EXPECT_EQ(forward(12), Time::microseconds(20));
  EXPECT_EQ(forward(16), Time::microseconds(30));
  EXPECT_EQ(forward(32), Time::microseconds(60));
  EXPECT_EQ(forward(4), Time::microseconds(5));
  EXPECT_EQ(profile.time(graph, "conv1", 12)->backward, Time::microseconds(30));
  EXPECT_FALSE(profile.time(graph, "conv2", 8));
  EXPECT_FALSE(profile.covers(graph));
  EXPECT_FALSE(Profile({row("conv1", 8, 10, 20)}, Precision::Fp16).time(graph, "conv1", 8));
}

TEST(Profile, AProfiledModelTakesTheMeasuredTimesAsTheyAre) {
  const ModelGraph graph = fuse(build_model("resnet20"));
  GpuSpec gpu;
  gpu.fp32_peak = Sourced<FlopRate>(FlopRate::teraflops(1));
  gpu.half_peak = Sourced<FlopRate>(FlopRate::teraflops(1));
  gpu.memory_achieved = Sourced<Bandwidth>(Bandwidth::gigabytes_per_second(10));
  double us = 1, sum = 0;
  for (const Layer& layer : graph.layers) {
    if (layer.kind == LayerKind::Input) continue;
    gpu.profile.push_back(row(layer.name, 64, us, 2 * us));
    sum += us++;
  }
  gpu.profile.push_back(row("inference", 64, 55, 0));
  gpu.profile.push_back(row("update lars", 1, 100, 0));
  const GpuModel model(gpu, Precision::Fp32, "");
  double forward = 0, backward = 0;
  for (const LayerTime& t : model.layer_times(graph, 64)) {
    forward += t.forward.microseconds();
    backward += t.backward.microseconds();
  }
  EXPECT_NEAR(forward, sum, 1e-6);
  EXPECT_NEAR(backward, 2 * sum, 1e-6);
  EXPECT_EQ(model.inference_time(graph, 64), Time::microseconds(55));
  const auto half = graph.parameters() / 2;
  EXPECT_NEAR(model.update_time(graph, half, 3, OptimizerKind::Lars, NormKernels::Batched).microseconds(), 50, 1e-3);
}

}  // namespace
}  // namespace lockstep::sim
