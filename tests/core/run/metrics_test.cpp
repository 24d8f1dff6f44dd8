#include "core/run/metrics.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Metrics, ImagesPerSecond) {
  // Fujitsu on ABCI: 86,016 images in 49.5 ms = 1.7377 M images/s of padded batches
  EXPECT_NEAR(images_per_second(86016, Time::milliseconds(49.5)), 1737696.97, 0.01);
  EXPECT_EQ(images_per_second(0, Time::seconds(1)), 0);
}

TEST(Metrics, WeakScalingEfficiency) {
  EXPECT_DOUBLE_EQ(scaling_efficiency(900, 10, 100, 1), 0.9);
  // DGX-1, MXNet 20.12, fp16: 10,723 images/s on 8 GPUs, 1,376 on one: 1340.375 / 1376
  EXPECT_NEAR(scaling_efficiency(10723, 8, 1376, 1), 0.97411, 1e-5);
  EXPECT_DOUBLE_EQ(scaling_efficiency(5357, 4, 5357, 4), 1);
}

}  // namespace
}  // namespace lockstep
