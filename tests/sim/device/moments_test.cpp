// Statistics of the noise over many draws; bounds are five standard errors of the estimate.
#include <gtest/gtest.h>

#include <cmath>

#include "sim/device/input.hpp"
#include "sim/device/noise.hpp"

namespace lockstep::sim {
namespace {

TEST(NoiseMoments, JitterIsNormalAroundOne) {
  constexpr double kSigma = 0.004;
  constexpr int kRanks = 20, kSteps = 2000, kDraws = kRanks * kSteps;
  const Noise noise(7, kRanks, 0, kSigma, {});
  double sum = 0, square = 0, cube = 0, fourth = 0, across_steps = 0, across_ranks = 0;
  const auto z = [&](int r, int s) { return (noise.factor(r, s) - 1) / kSigma; };
  for (int r = 0; r < kRanks; ++r) {
    for (int s = 0; s < kSteps; ++s) {
      const double x = z(r, s);
      sum += x, square += x * x, cube += x * x * x, fourth += x * x * x * x;
      across_steps += x * z(r, s + 1);
      across_ranks += x * z((r + 1) % kRanks, s);
    }
  }
  const double error = 5 / std::sqrt(kDraws);  // variances of x, x^2, x^3, x^4 and x y: 1, 2, 15, 96, 1
  EXPECT_NEAR(sum / kDraws, 0, error);
  EXPECT_NEAR(square / kDraws, 1, error * std::sqrt(2));
  EXPECT_NEAR(cube / kDraws, 0, error * std::sqrt(15));
  EXPECT_NEAR(fourth / kDraws, 3, error * std::sqrt(96));
  EXPECT_NEAR(across_steps / kDraws, 0, error);
  EXPECT_NEAR(across_ranks / kDraws, 0, error);
}

TEST(NoiseMoments, SpreadHasItsSigmaAndEverySeedItsOrder) {
  constexpr int kRanks = 2048;
  const Noise a(1, kRanks, 0.015, 0, {}), b(2, kRanks, 0.015, 0, {});
  double square = 0, product = 0;
  for (int r = 0; r < kRanks; ++r) {
    const double x = (a.factor(r, 0) - 1) / 0.015, y = (b.factor(r, 0) - 1) / 0.015;
    square += x * x, product += x * y;
    EXPECT_EQ(a.factor(r, 0), a.factor(r, 99));  // fixed
  }
  EXPECT_NEAR(square / kRanks, 1, 0.01);  // order statistics are a little narrower than a sample
  EXPECT_NEAR(product / kRanks, 0, 5 / std::sqrt(kRanks));
}

TEST(NoiseMoments, NoFactorBelowHalf) {
  const Noise wild(3, 64, 0.5, 0.5, {});
  for (int r = 0; r < 64; ++r)
    EXPECT_GE(wild.factor(r, 0), 0.25);  // the fixed part and the jitter are each at least 0.5
}

TEST(InputRates, OnlyWhatIsGivenLimits) {
  DataSpec data;
  data.image_bytes = Bytes(110000);
  EXPECT_EQ(input_time(data, 256, 8).longer(), Time::zero());
  // 8 GPUs x 256 images x 110 kB = 225.28 MB at 2 GB/s: 112.64 ms.
  data.storage_rate = Bandwidth::gigabytes_per_second(2);
  EXPECT_EQ(input_time(data, 256, 8).longer(), Time::microseconds(112640));
  // 2048 images at 12,800 images/s of one node: 160 ms. One GPU alone needs an eighth.
  data.decode_rate = 12800;
  EXPECT_EQ(input_time(data, 256, 8).longer(), Time::milliseconds(160));
  EXPECT_EQ(input_time(data, 256, 1).longer(), Time::milliseconds(20));
  EXPECT_EQ(input_time(data, 0, 8).longer(), Time::zero());
}

}  // namespace
}  // namespace lockstep::sim
