// Tiles and waves by hand.
#include "sim/device/wave_model.hpp"

#include <gtest/gtest.h>

#include "core/model/layer_cost.hpp"
#include "core/model/zoo.hpp"
#include "sim/device/gpu_model.hpp"
#include "tests/sim/device/hand_gpu.hpp"

namespace lockstep::sim {
namespace {

const Layer& conv_of(const ModelGraph& g) { return g.layers[1]; }

TEST(WaveModel, TilesByHand) {
  // 256 channels of 28 x 28 become 512 of 14 x 14. Forward: 196 pixels / 128 rows x 512 / 128 columns = 1.53125 x 4 = 6.125 tiles per image.
  // Data gradient: 784 / 128 x 256 / 128 = 6.125 x 2 = 12.25. The weight gradient counts as the forward pass.
  const ModelGraph g = one_conv({256, 28, 28}, 512, 3, 2, 1);
  EXPECT_DOUBLE_EQ(tiles_per_image(conv_of(g), ConvPass::Forward), 6.125);
  EXPECT_DOUBLE_EQ(tiles_per_image(conv_of(g), ConvPass::BackwardData), 12.25);
  EXPECT_DOUBLE_EQ(tiles_per_image(conv_of(g), ConvPass::BackwardWeight), 6.125);
}

TEST(WaveModel, ColumnsAreWholeTiles) {
  // 64 channels take one column of tiles, as 128 do; 129 take two.
  for (const auto& [channels, columns] : {std::pair{64, 1}, {128, 1}, {129, 2}}) {
    const ModelGraph g = one_conv({8, 16, 16}, channels, 1, 1, 0);
    EXPECT_DOUBLE_EQ(tiles_per_image(conv_of(g), ConvPass::Forward), 2.0 * columns) << channels;
  }
}

TEST(WaveModel, LostImagesAreAWaveInImages) {
  // 6.125 tiles per image on 49 multiprocessors: a wave is 8 images; 1.5 waves lost are 12.
  const ModelGraph g = one_conv({256, 28, 28}, 512, 3, 2, 1);
  EXPECT_DOUBLE_EQ(lost_images(conv_of(g), ConvPass::Forward, 49, 1.5), 12);
  EXPECT_DOUBLE_EQ(lost_images(conv_of(g), ConvPass::Forward, 0, 1.5), 0);
  EXPECT_DOUBLE_EQ(lost_images(g.layers[0], ConvPass::Forward, 49, 1.5), 0);
}

GpuSpec gpu_with_waves(int multiprocessors) {
  GpuSpec g = hand_gpu();
  g.multiprocessors = Sourced(multiprocessors);
  g.tail_waves = Sourced(1.5);
  return g;
}

TEST(WaveModel, RowsSayWhatAnImageCostsAndWavesTheRest) {
  // Measured 210 us at 8 images and 290 at 16: 10 us per image. 12 images are lost: (N + 12) x 10 us. A 1x1 shape that reaches 80 % of the peak
  // (2 x 512 x 196 x 512 = 102.8 MFLOP x 16 in 20.55 us) is the table's best: 5.8 us per image here, less than the line's 10.
  const ModelGraph g = one_conv({256, 28, 28}, 512, 3, 2, 1), other = one_conv({512, 14, 14}, 512, 1, 1, 0);
  GpuSpec gpu = gpu_with_waves(49);
  gpu.convolutions = {row_of(conv_of(g), Precision::Fp16, 8, Time::microseconds(210)),
                      row_of(conv_of(g), Precision::Fp16, 16, Time::microseconds(290)),
                      row_of(conv_of(other), Precision::Fp16, 16, Time::microseconds(20.55))};
  const auto us = [&](const ConvModel& m, std::int64_t n) {
    return m.time(conv_of(g), ConvPass::Forward, n, layer_cost(g, conv_of(g), n, 2).forward).microseconds();
  };
  const ConvModel with(gpu, Precision::Fp16), without(gpu, Precision::Fp16, false);
  EXPECT_NEAR(us(with, 32), 440, 1e-6);
  EXPECT_NEAR(us(with, 8), 200, 1e-6);
  EXPECT_NEAR(us(with, 1), 130, 1e-6);
  EXPECT_NEAR(us(without, 8), 210, 1e-6);  // switched off: the row itself
  // Alone, the shape is the best of its table, and no image may be cheaper than at its 16: 290 / 16 = 18.125 us each, 44 of them.
  gpu.convolutions.pop_back();
  EXPECT_NEAR(us(ConvModel(gpu, Precision::Fp16), 32), 797.5, 1e-6);
}

TEST(WaveModel, ShapeWithoutRowsLosesWavesToo) {
  // No table: half of 100 TFLOP/s. 2 x 512 x 196 x 256 x 9 = 462.4 MFLOP per image = 9.248 us; 12 images lost: (N + 12) x 9.248 us.
  const ModelGraph g = one_conv({256, 28, 28}, 512, 3, 2, 1);
  const ConvModel m(gpu_with_waves(49), Precision::Fp16);
  for (const std::int64_t n : {1, 8, 64})
    EXPECT_NEAR(m.time(conv_of(g), ConvPass::Forward, n, layer_cost(g, conv_of(g), n, 2).forward).microseconds(),
                9.2484 * static_cast<double>(n + 12), 1e-2 * static_cast<double>(n + 12))
        << n;
}

TEST(WaveModel, TheLossDoesNotDependOnThePrecision) {
  // Time at 8 images over time at 64, both precisions: (8 + 12) / (64 + 12).
  const ModelGraph g = one_conv({256, 28, 28}, 512, 3, 2, 1);
  for (const Precision p : {Precision::Fp16, Precision::Fp32}) {
    const ConvModel m(gpu_with_waves(49), p);
    const int bytes = p == Precision::Fp16 ? 2 : 4;
    const auto t = [&](std::int64_t n) {
      return m.time(conv_of(g), ConvPass::Forward, n, layer_cost(g, conv_of(g), n, bytes).forward);
    };
    EXPECT_NEAR(t(8) / t(64), 20.0 / 76, 1e-6);
  }
}

TEST(WaveModel, AKernelsGapAddsToItsWork) {
  // Batch norm over 64 x 112 x 112 at 32 images, fp16: 102.76 us of traffic (gpu_times_test.cpp) and a gap of 3 us.
  GraphBuilder b("norm", {64, 112, 112});
  const LayerId norm = b.relu("relu", b.batch_norm("norm", b.input()));
  const ModelGraph g = fuse(std::move(b).finish(norm));
  const auto forward = [&](bool small_batch) {
    return GpuModel(gpu_with_waves(49), Precision::Fp16, "", small_batch).layer_times(g, 32)[1].forward.microseconds();
  };
  EXPECT_NEAR(forward(true), 105.76, 0.01);
  EXPECT_NEAR(forward(false), 102.76, 0.01);
}

TEST(WaveModel, NothingChangesWithoutMultiprocessors) {
  const ModelGraph g = fuse(build_model("resnet18"));
  const auto with = GpuModel(gpu_with_waves(0), Precision::Fp16, "", true).layer_times(g, 4);
  const auto without = GpuModel(gpu_with_waves(49), Precision::Fp16, "", false).layer_times(g, 4);
  for (std::size_t l = 0; l < with.size(); ++l) {
    EXPECT_EQ(with[l].forward, without[l].forward);
    EXPECT_EQ(with[l].backward, without[l].backward);
  }
}

}  // namespace
}  // namespace lockstep::sim
