#include "core/model/loss.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/base/error.hpp"

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

TEST(Loss, ThreeClassesAsOneHotCrossEntropy) {
  // Smoothing 0: -log p of the label alone. p = (1, 2, 4) / 7.
  const std::vector<double> logits = {0, std::log(2.0), std::log(4.0)};
  EXPECT_NEAR(cross_entropy(logits, 0, 0), std::log(7.0), 1e-12);
  EXPECT_NEAR(cross_entropy(logits, 2, 0), std::log(7.0 / 4), 1e-12);
  // Smoothing 0.3: q = (0.1, 0.8, 0.1); -log p = log 7, log 3.5, log 1.75.
  EXPECT_NEAR(cross_entropy(logits, 1, 0.3), 0.1 * std::log(7.0) + 0.8 * std::log(3.5) + 0.1 * std::log(1.75), 1e-12);
}

TEST(Loss, AnImpossibleClassCostsNothingWithoutSmoothing) {
  const std::vector<double> logits = {0, -std::numeric_limits<double>::infinity()};
  EXPECT_NEAR(cross_entropy(logits, 0, 0), 0, 1e-12);
}

TEST(Loss, GradientSumsToZeroAndLossIsLeastAtTheTarget) {
  EXPECT_TRUE(rc::check([] {
    const std::size_t classes = *rc::gen::inRange<std::size_t>(2, 12);
    const auto label = *rc::gen::inRange<std::int64_t>(0, static_cast<std::int64_t>(classes));
    const double smoothing = *rc::gen::inRange(1, 90) / 100.0;
    std::vector<double> logits(classes), gradient(classes), best(classes);
    for (double& z : logits) z = *rc::gen::inRange(-8000, 8000) / 1000.0;
    cross_entropy_gradient(logits, label, smoothing, gradient);
    RC_ASSERT(std::abs(std::accumulate(gradient.begin(), gradient.end(), 0.0)) < 1e-12);
    // Gibbs: the loss is least where p = q, and is the entropy of q there.
    double entropy = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      const double q =
          smoothing / static_cast<double>(classes) + (static_cast<std::int64_t>(k) == label ? 1 - smoothing : 0);
      best[k] = std::log(q);
      entropy -= q * best[k];
    }
    RC_ASSERT(std::abs(cross_entropy(best, label, smoothing) - entropy) < 1e-12);
    RC_ASSERT(cross_entropy(logits, label, smoothing) >= entropy - 1e-12);
    cross_entropy_gradient(best, label, smoothing, gradient);
    for (double g : gradient) RC_ASSERT(std::abs(g) < 1e-12);
  }));
}

TEST(Loss, RangesAreChecked) {
  const std::vector<double> logits = {1, 2, 3};
  std::vector<double> gradient(3);
  EXPECT_THROW(cross_entropy(logits, 3, 0), InternalError);
  EXPECT_THROW(cross_entropy(logits, 0, 1), InternalError);
  EXPECT_THROW(cross_entropy_gradient(logits, -1, 0, gradient), InternalError);
  EXPECT_THROW(cross_entropy_gradient(logits, 0, 0, std::span(gradient).first(2)), InternalError);
  EXPECT_THROW(top1(logits, 3), InternalError);
}

TEST(Loss, Top1TakesTheFirstOfEquals) {
  const std::vector<double> logits = {1, 2, 2};
  EXPECT_TRUE(top1(logits, 1));
  EXPECT_FALSE(top1(logits, 2));
}

TEST(Loss, Top1OfNotANumberIsWrong) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& logits : {std::vector<double>{nan, nan}, {nan, 1}, {1, nan}}) {
    EXPECT_FALSE(top1(logits, 0));
    EXPECT_FALSE(top1(logits, 1));
  }
}

TEST(Loss, Top1CountsRows) {
  const std::vector<double> logits = {3, 1, 2,  //
                                      0, 5, 4,  //
                                      1, 1, 0,  //
                                      0, 0, 9};
  EXPECT_EQ(top1_count(logits, std::vector<std::int64_t>{0, 2, 0, 2}), 3);
  EXPECT_EQ(top1_count(logits, std::vector<std::int64_t>{1, 1, 1, 1}), 1);
  EXPECT_EQ(top1_count({}, {}), 0);
  EXPECT_THROW(top1_count(logits, std::vector<std::int64_t>{0, 1, 2, 0, 1}), InternalError);
}

}  // namespace
}  // namespace lockstep
