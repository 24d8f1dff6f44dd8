#include "sim/device/noise.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sim/device/input.hpp"

namespace lockstep::sim {
namespace {

/// The oracle: expected maximum of n independent standard normals.
double expected_max_normal(int n) {
  // E[max] = integral of x d(Phi(x)^n) = integral of [1 - Phi^n] over x > 0 minus integral of Phi^n over x < 0; Simpson's rule on [-9, 9].
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
  constexpr int kIntervals = 4000;
  constexpr double kReach = 9;
  const auto integrand = [&](double x) { return x >= 0 ? -std::expm1(n * std::log(cdf(x))) : -std::pow(cdf(x), n); };
  const auto simpson = [&](double a, double b) {
    const double h = (b - a) / kIntervals;
    double sum = integrand(a) + integrand(b);
    for (int i = 1; i < kIntervals; ++i) sum += integrand(a + i * h) * (i % 2 ? 4 : 2);
    return sum * h / 3;
  };
  return simpson(0, kReach) + simpson(-kReach, -1e-12);
}

TEST(Noise, ExpectedMaximumOfNormals) {
  // Derived in the fact base: 8: 1.42, 32: 2.07, 256: 2.83, 1024: 3.25, 2048: 3.44; closed forms: 1: 0, 2: 1/sqrt(pi).
  EXPECT_NEAR(expected_max_normal(1), 0, 1e-6);
  EXPECT_NEAR(expected_max_normal(2), 1 / std::sqrt(M_PI), 1e-6);
  EXPECT_NEAR(expected_max_normal(8), 1.42, 0.005);
  EXPECT_NEAR(expected_max_normal(32), 2.07, 0.005);
  EXPECT_NEAR(expected_max_normal(256), 2.83, 0.01);
  EXPECT_NEAR(expected_max_normal(1024), 3.25, 0.01);
  EXPECT_NEAR(expected_max_normal(2048), 3.44, 0.01);
}

TEST(Noise, SlowestGpuIsAsSlowAsExpected) {
  for (const int n : {8, 256, 2048}) {
    const Noise noise(1, n, 0.01, 0, {});
    double slowest = 0, sum = 0;
    for (int r = 0; r < n; ++r) {
      slowest = std::max(slowest, noise.factor(r, 0));
      sum += noise.factor(r, 0);
    }
    EXPECT_NEAR((slowest - 1) / 0.01, expected_max_normal(n), 0.02) << n;  // Blom's positions are good to 1 %
    EXPECT_NEAR(sum / n, 1, 1e-9);
  }
}

double mean_of_slowest(const Noise& noise, int ranks, int steps) {
  double sum = 0;
  for (int step = 0; step < steps; ++step) {
    double slowest = 0;
    for (int r = 0; r < ranks; ++r) slowest = std::max(slowest, noise.factor(r, step));
    sum += slowest;
  }
  return sum / steps;
}

TEST(Noise, JitterAloneWaitsForTheExpectedMaximum) {
  // Every step the slowest of 256 draws: 1 + 2.83 sigma (2.827) on average. The maximum's own deviation is 0.36 sigma (Gumbel: pi / sqrt(6) / z with
  // z = sqrt(2 ln 256) = 3.33 gives 0.385 at most), so the mean of 400 steps is good to 0.02 sigma; 4 of these are asked for.
  EXPECT_NEAR((mean_of_slowest(Noise(1, 256, 0, 0.004, {}), 256, 400) - 1) / 0.004, expected_max_normal(256), 0.08);
}

TEST(Noise, SpreadAndJitterAddAsVariances) {
  // Fixed sigma 1.5 % and 0.8 % per step are one normal of sqrt(1.5^2 + 0.8^2) = 1.7 % over ranks and steps together: the slowest of 256 takes
  // 1 + 2.83 x 1.7 % on average, not 1 + 2.83 x (1.5 + 0.8) %. The fixed part is a stratified sample, which lowers the expectation a little; 5 % of it.
  const double slowest = mean_of_slowest(Noise(1, 256, 0.015, 0.008, {}), 256, 400);
  EXPECT_NEAR((slowest - 1) / 0.017, expected_max_normal(256), 0.05 * expected_max_normal(256));
}

TEST(Noise, AloneIsTheAnchor) { EXPECT_DOUBLE_EQ(Noise(1, 1, 0.03, 0, {}).factor(0, 5), 1); }

TEST(Noise, SeedAndStepMatter) {
  const Noise a(1, 64, 0.01, 0.004, {}), b(1, 64, 0.01, 0.004, {}), c(2, 64, 0.01, 0.004, {});
  EXPECT_EQ(a.factor(3, 7), b.factor(3, 7));
  EXPECT_NE(a.factor(3, 7), c.factor(3, 7));
  EXPECT_NE(a.factor(3, 7), a.factor(3, 8));
  EXPECT_TRUE(a.varies_by_step());
}

TEST(Noise, SlowRankAndSilence) {
  EXPECT_TRUE(Noise(1, 4, 0, 0, {}).silent());
  const Noise slow(1, 4, 0, 0, {{2, 1.3}});
  EXPECT_FALSE(slow.silent());
  EXPECT_DOUBLE_EQ(slow.factor(2, 0), 1.3);
  EXPECT_DOUBLE_EQ(slow.factor(1, 0), 1);
}

TEST(Input, SlowerOfStorageAndDecoding) {
  DataSpec data;
  EXPECT_EQ(input_time(data, 40, 4).longer(), Time::zero());
  // 4 GPUs x 40 images at 2,000 images/s per node: 80 ms. Storage: 160 x 100 kB at 1 GB/s: 16 ms.
  data.decode_rate = 2000;
  data.storage_rate = Bandwidth::gigabytes_per_second(1);
  data.image_bytes = Bytes(100000);
  EXPECT_EQ(input_time(data, 40, 4).longer(), Time::milliseconds(80));
  data.decode_rate = 20000;
  EXPECT_EQ(input_time(data, 40, 4).longer(), Time::milliseconds(16));
}

TEST(Noise, ExpectedSlowestRank) {
  // Equal GPUs: 1 + sigma E[max of N normals]: 1 + 0.01 x 2.83 for 256. Never jittered: the slowest itself.
  EXPECT_NEAR(Noise(1, 256, 0, 0.01, {}).expected_slowest(), 1 + 0.01 * expected_max_normal(256), 1e-5);
  EXPECT_EQ(Noise(1, 16, 0, 0, {{3, 1.3}}).expected_slowest(), 1.3);
  // One rank so slow that no other can be slower: its own mean.
  EXPECT_NEAR(Noise(1, 64, 0, 0.01, {{3, 1.5}}).expected_slowest(), 1.5, 1e-5);
}

TEST(Noise, TypicalStepHasTheExpectedSlowestRank) {
  const Noise jitter(3, 200, 0.01, 0.02, {}), fixed(3, 16, 0, 0, {{3, 1.3}});
  const std::vector<double> typical = jitter.typical();
  EXPECT_NEAR(*std::max_element(typical.begin(), typical.end()), jitter.expected_slowest(), 1e-12);
  for (int r = 1; r < 200; ++r) {  // who is slower in the drawn step is slower in the typical one
    EXPECT_EQ(typical[static_cast<std::size_t>(r)] > typical[static_cast<std::size_t>(r - 1)],
              jitter.factor(r, 0) > jitter.factor(r - 1, 0));
  }
  for (int r = 0; r < 16; ++r) EXPECT_NEAR(fixed.typical()[static_cast<std::size_t>(r)], fixed.factor(r, 0), 1e-12);
  EXPECT_EQ(Noise(3, 4, 0, 0, {}).typical(), std::vector<double>(4, 1.0));
}

TEST(Noise, ExpectedSlowestRankIsTheMeanOfManySteps) {
  // 400 steps of 300 unequal ranks: the maximum spreads by about a third of sigma, 0.004 / 20 = 2e-4 for the mean; 4 of those.
  const Noise noise(7, 300, 0.01, 0.012, {{5, 1.02}});
  double sum = 0;
  for (int step = 0; step < 400; ++step) {
    double slowest = 0;
    for (int rank = 0; rank < 300; ++rank) slowest = std::max(slowest, noise.factor(rank, step));
    sum += slowest;
  }
  EXPECT_NEAR(noise.expected_slowest(), sum / 400, 8e-4);
}

}  // namespace
}  // namespace lockstep::sim
