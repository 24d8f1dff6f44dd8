#include "core/model/loss.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lockstep {
namespace {

TEST(Loss, UniformLogits) {
  // p = 1/4 for every class, whatever the smoothing: -log(1/4).
  const std::vector<double> logits(4, 3.0);
  EXPECT_NEAR(cross_entropy(logits, 2, 0), std::log(4), 1e-12);
  EXPECT_NEAR(cross_entropy(logits, 2, 0.1), std::log(4), 1e-12);
}

TEST(Loss, TwoClassesByHand) {
  // Logits (log 3, 0): p = (3/4, 1/4). Smoothing 0.1: q = (0.95, 0.05); loss = -0.95 log 0.75 - 0.05 log 0.25.
  const std::vector<double> logits = {std::log(3.0), 0};
  EXPECT_NEAR(cross_entropy(logits, 0, 0.1), -0.95 * std::log(0.75) - 0.05 * std::log(0.25), 1e-12);
  std::vector<double> g(2);
  cross_entropy_gradient(logits, 0, 0.1, g);
  EXPECT_NEAR(g[0], 0.75 - 0.95, 1e-12);
  EXPECT_NEAR(g[1], 0.25 - 0.05, 1e-12);
}

TEST(Loss, GradientIsTheDifferenceQuotient) {
  const std::vector<double> logits = {0.3, -1.2, 2.5, 0.1, -0.7};
  std::vector<double> g(logits.size());
  cross_entropy_gradient(logits, 3, 0.1, g);
  constexpr double h = 1e-5;  // central differences: error h^2
  for (std::size_t k = 0; k < logits.size(); ++k) {
    std::vector<double> up = logits, down = logits;
    up[k] += h;
    down[k] -= h;
    EXPECT_NEAR(g[k], (cross_entropy(up, 3, 0.1) - cross_entropy(down, 3, 0.1)) / (2 * h), 1e-9);
  }
}

TEST(Loss, LargeLogitsDoNotOverflow) {
  const std::vector<double> logits = {1000, 0};
  EXPECT_NEAR(cross_entropy(logits, 0, 0), 0, 1e-12);
  EXPECT_NEAR(cross_entropy(logits, 1, 0), 1000, 1e-9);
}

TEST(Loss, Top1TakesTheFirstOfEquals) {
  const std::vector<double> logits = {1, 2, 2};
  EXPECT_TRUE(top1(logits, 1));
  EXPECT_FALSE(top1(logits, 2));
}

}  // namespace
}  // namespace lockstep
