#include "core/optim/lars.hpp"

#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace lockstep {
namespace {

using V = LarsVariant;
constexpr std::array kAll{V::Paper,    V::MlperfReference, V::TfModels, V::MxnetMultiLars, V::NvidiaFastV2, V::Fujitsu,
                          V::ApexLarc, V::ApexScale,       V::Timm};

// w = (3, 4): |w| = 5.  g = (0.8, -0.6): |g| = 1.  v = (0.5, -0.25).  lr 2, previous 1.6: s = 1.25.  m = 0.9, b = 0.1.
// g + b w = (1.1, -0.2): |g + b w| = sqrt(1.25).  |g| + b |w| = 1.5.  eta = 0.001: eta |w| = 0.005.
struct Tensors {
  std::array<double, 2> w{3, 4}, g{0.8, -0.6}, v{0.5, -0.25};
};

StepValues values() { return {2, 4, 0.1, 0.1, 0.9, 1.25}; }

void expect_update(V variant, const LarsHyper& hyper, const TensorTreatment& treatment, const StepValues& x,
                   std::array<double, 2> v, std::array<double, 2> w, double tolerance = 1e-13) {
  Tensors t;
  lars_update<double>(variant, hyper, treatment, x, t.w, t.g, t.v);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(t.v[i], v[i], tolerance) << "velocity " << i;
    EXPECT_NEAR(t.w[i], w[i], tolerance) << "weight " << i;
  }
}

TEST(Lars, PaperByHand) {
  // r = 0.005 / 1.5 = 1/300;  v = 0.9 v + 2 r (1.1, -0.2) = (0.45 + 2.2/300, -0.225 - 0.4/300)
  const double v0 = 0.45 + 2.2 / 300, v1 = -0.225 - 0.4 / 300;
  expect_update(V::Paper, {0.001, 0.5}, {}, values(), {v0, v1}, {3 - v0, 4 - v1});
}

TEST(Lars, MlperfReferenceByHand) {
  // eps 0.5: r = 0.005 / 2 = 0.0025;  2 r = 0.005:  v = (0.45 + 0.0055, -0.225 - 0.001)
  expect_update(V::MlperfReference, {0.001, 0.5}, {}, values(), {0.4555, -0.226}, {2.5445, 4.226});
}

TEST(Lars, MlperfReferenceTurnsZeroEpsilonIntoKerasDefault) {
  const auto r = trust_ratio(V::MlperfReference, {0.001, 0}, values(), {1e-6, 0.9e-6, 0});
  EXPECT_NEAR(*r, 1e-9 / (0.9e-6 + 0.1e-6 + 1e-7), 1e-18);  // = 1/1100, not 1/1000
}

TEST(Lars, TfModelsByHand) {
  // r = 0.005 / sqrt(1.25): the norm of the sum, not the sum of the norms
  const double step = 2 * 0.005 / std::sqrt(1.25), v0 = 0.45 + step * 1.1, v1 = -0.225 - step * 0.2;
  expect_update(V::TfModels, {0.001, 0.5}, {}, values(), {v0, v1}, {3 - v0, 4 - v1});
}

TEST(Lars, MxnetByHand) {
  // eps 0.5: 2 r = 0.005;  m s = 1.125:  v = (0.5625 - 0.0055, -0.28125 + 0.001);  w += v
  expect_update(V::MxnetMultiLars, {0.001, 0.5}, {}, values(), {0.557, -0.28025}, {3.557, 3.71975});
  expect_update(V::NvidiaFastV2, {0.001, 0.5}, {}, values(), {0.557, -0.28025}, {3.557, 3.71975});
}

TEST(Lars, MxnetAndNvidiaDifferInTheCorrectionOfTensorsWithoutRatio) {
  // A beta: r = 1, b = 0.  MXNet: v = 1.125 v - 2 g = (0.5625 - 1.6, -0.28125 + 1.2);  NVIDIA: v = 0.9 v - 2 g
  const auto mxnet = tensor_treatment(V::MxnetMultiLars, TensorRole::Beta, false, true);
  expect_update(V::MxnetMultiLars, {}, mxnet, values(), {-1.0375, 0.91875}, {1.9625, 4.91875});
  const auto nvidia = tensor_treatment(V::NvidiaFastV2, TensorRole::Beta, false, true);
  expect_update(V::NvidiaFastV2, {}, nvidia, values(), {-1.15, 0.975}, {1.85, 4.975});
}

TEST(Lars, FujitsuByHand) {
  // lr0 = 4, b0 = 0.1, b = 0.05 (its own schedule), eps 0.5: r = 0.005 / (1 + 0.1*4*5 + 0.5) = 0.005 / 3.5
  // v = 0.9 v - r b lr0 w - r lr g = (0.45 - r (0.05*4*3 + 2*0.8), -0.225 - r (0.05*4*4 - 2*0.6))
  //   = (0.45 - 2.2 r, -0.225 + 0.4 r)
  StepValues x = values();
  x.weight_decay = 0.05;
  const double r = 0.005 / 3.5, v0 = 0.45 - 2.2 * r, v1 = -0.225 + 0.4 * r;
  expect_update(V::Fujitsu, {0.001, 0.5}, {}, x, {v0, v1}, {3 + v0, 4 + v1});
}

TEST(Lars, FujitsuDecayDoesNotScaleWithTheRate) {
  // At rate 0 the weights still shrink by r b lr0 w: the decay has its own schedule.
  StepValues x = values();
  x.lr = 0;
  const double r = 0.005 / (1 + 2);
  Tensors t;
  t.v = {0, 0};
  lars_update<double>(V::Fujitsu, {0.001, 0}, {}, x, t.w, t.g, t.v);
  EXPECT_NEAR(t.w[0], 3 - r * 0.1 * 4 * 3, 1e-11);  // eps 1e-9 moves r by 3e-10, relative
}

TEST(Lars, ApexScaleByHand) {
  // eps 0.5: r = 0.0025;  u = 0.9 u + r (1.1, -0.2) = (0.45275, -0.2255);  w -= 2 u
  expect_update(V::ApexScale, {0.001, 0.5}, {}, values(), {0.45275, -0.2255}, {2.0945, 4.451});
  expect_update(V::Timm, {0.001, 0.5}, {}, values(), {0.45275, -0.2255}, {2.0945, 4.451});
}

TEST(Lars, ApexLarcDividesByTheRateAndClipsAtOne) {
  // eps 0.5, eta 0.001: r = 0.0025 / 2;  u = (0.45 + 0.001375, -0.225 - 0.00025)
  expect_update(V::ApexLarc, {0.001, 0.5}, {}, values(), {0.451375, -0.22525}, {2.09725, 4.4505});
  // eta 1: 5 / 2 / 2 = 1.25 clips to 1;  u = (0.45 + 1.1, -0.225 - 0.2)
  expect_update(V::ApexLarc, {1, 0.5}, {}, values(), {1.55, -0.425}, {-0.1, 4.85});
}

TEST(Lars, TimmHasNoRatioWithoutDecay) {
  StepValues x = values();
  x.weight_decay = 0;
  // u = 0.9 u + g = (1.25, -0.825);  w -= 2 u.  Apex would use r = 0.005 / 1.5.
  expect_update(V::Timm, {0.001, 0.5}, {}, x, {1.25, -0.825}, {0.5, 5.65});
}

TEST(Lars, DefaultsOfEpsilon) {
  EXPECT_EQ(effective_epsilon(V::Paper, 0.5), 0);
  EXPECT_EQ(effective_epsilon(V::TfModels, 0.5), 0);
  EXPECT_EQ(effective_epsilon(V::MlperfReference, 0), 1e-7);
  EXPECT_EQ(effective_epsilon(V::MxnetMultiLars, 0), 0);
  EXPECT_EQ(effective_epsilon(V::NvidiaFastV2, 1e-6), 1e-6);
  EXPECT_EQ(effective_epsilon(V::Fujitsu, 0), 1e-9);
  for (V v : {V::ApexLarc, V::ApexScale, V::Timm}) EXPECT_EQ(effective_epsilon(v, 0), 1e-8);
}

TEST(Lars, ZeroNorms) {
  for (V v : kAll) {
    const bool apex = v == V::ApexLarc || v == V::ApexScale;
    for (const LarsNorms& norms : {LarsNorms{0, 1, 1}, LarsNorms{0, 0, 0}}) {
      const auto r = trust_ratio(v, {0.001, 0}, values(), norms);
      if (apex)
        EXPECT_FALSE(r.has_value());
      else
        EXPECT_EQ(r, 1.0);
    }
  }
  // A zero gradient: the sources that test it give 1; TfModels (|b w| = 0.5) and Fujitsu (b0 lr0 |w| = 2) still see
  // the decay.
  const LarsNorms still{5, 0, 0.5};
  for (V v : {V::Paper, V::MlperfReference, V::MxnetMultiLars, V::NvidiaFastV2, V::Timm}) {
    EXPECT_EQ(trust_ratio(v, {0.001, 0}, values(), still), 1.0);
  }
  EXPECT_NEAR(*trust_ratio(V::TfModels, {0.001, 0}, values(), still), 0.01, 1e-15);
  EXPECT_NEAR(*trust_ratio(V::Fujitsu, {0.001, 0}, values(), still), 0.0025, 1e-11);
  EXPECT_FALSE(trust_ratio(V::ApexScale, {0.001, 0}, values(), still).has_value());
}

TEST(Lars, ApexLeavesZeroGradientsAloneAndWithoutDecay) {
  Tensors t;
  t.g = {0, 0};
  lars_update<double>(V::ApexScale, {}, {}, values(), t.w, t.g, t.v);
  EXPECT_NEAR(t.v[0], 0.45, 1e-15);  // 0.9 u, no b w
  EXPECT_NEAR(t.w[0], 2.1, 1e-15);   // 3 - 2 * 0.45
}

TEST(Lars, TreatmentOfTensors) {
  for (V v : kAll) {
    for (bool linear : {false, true}) {
      const auto weight = tensor_treatment(v, TensorRole::Weight, linear, true);
      EXPECT_TRUE(weight.ratio && weight.decay && weight.correction);
      for (TensorRole role : {TensorRole::Bias, TensorRole::Gamma, TensorRole::Beta}) {
        const bool mxnet = v == V::MxnetMultiLars || v == V::NvidiaFastV2;
        const auto t = tensor_treatment(v, role, linear, true);
        EXPECT_FALSE(t.ratio);
        EXPECT_EQ(t.decay, mxnet && role == TensorRole::Bias && linear);
        EXPECT_EQ(t.correction, v != V::NvidiaFastV2);
        const auto all = tensor_treatment(v, role, linear, false);
        EXPECT_TRUE(all.ratio && all.decay && all.correction);
      }
    }
  }
}

TEST(Lars, NormAccumulatesInDouble) {
  // In float 1e8 + 1 is 1e8: 64 ones after 1e4 would vanish from a float sum of squares.
  std::vector<float> x(65, 1.0F);
  x[0] = 1e4F;
  EXPECT_EQ(norm(std::span<const float>(x)), std::sqrt(1e8 + 64));
}

/// Weights after training a small quadratic for the rates, all variants from the same start.
std::array<double, 2> train(V variant, const std::vector<double>& rates, double eps) {
  std::array<double, 2> w{3, 4}, v{0, 0};
  for (std::size_t t = 0; t < rates.size(); ++t) {
    const std::array<double, 2> g{0.7 * w[0] - 0.2, 0.1 * w[1] + 0.3 * w[0]};
    StepValues x;
    x.lr = rates[t];
    x.weight_decay = x.weight_decay_base = 0.01;
    x.base_lr = 1;
    x.momentum = 0.9;
    x.momentum_scale = t > 0 ? rates[t] / rates[t - 1] : 1;
    lars_update<double>(variant, {0.05, eps}, {}, x, w, g, v);
  }
  return w;
}

double distance(const std::array<double, 2>& a, const std::array<double, 2>& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1]);
}

// u = -v / lr: NVIDIA's corrected form is apex in scale mode is timm, while the rate changes.
TEST(Lars, CorrectedNvidiaIsApexScaleIsTimm) {
  const std::vector<double> rates{0.2, 0.6, 1.0, 0.5, 0.1, 0.01};
  const auto apex = train(V::ApexScale, rates, 1e-8);
  EXPECT_LT(distance(train(V::NvidiaFastV2, rates, 1e-8), apex), 1e-13);
  EXPECT_LT(distance(train(V::MxnetMultiLars, rates, 1e-8), apex), 1e-13);
  EXPECT_LT(distance(train(V::Timm, rates, 1e-8), apex), 1e-13);
}

// TensorFlow and the paper agree with them only while the rate is constant.
TEST(Lars, RateInsideAndOutsideAgreeOnlyAtConstantRate) {
  const std::vector<double> constant(6, 0.5);
  EXPECT_LT(distance(train(V::MlperfReference, constant, 1e-8), train(V::ApexScale, constant, 1e-8)), 1e-13);
  EXPECT_LT(distance(train(V::Paper, constant, 0), train(V::NvidiaFastV2, constant, 0)), 1e-13);
  const std::vector<double> changing{0.2, 0.6, 1.0, 0.5, 0.1, 0.01};
  EXPECT_GT(distance(train(V::MlperfReference, changing, 1e-8), train(V::ApexScale, changing, 1e-8)), 1e-2);
  EXPECT_GT(distance(train(V::Paper, changing, 0), train(V::NvidiaFastV2, changing, 0)), 1e-2);
}

// r depends on |w| / |g| alone: scaling both leaves it (variants without eps exactly up to rounding).
RC_GTEST_PROP(LarsProperty, RatioIsScaleInvariant, ()) {
  const auto real = [](int low, int high) { return *rc::gen::inRange(low, high) * 1e-3; };
  const double w = real(1, 100000), g = real(1, 100000), combined = real(1, 100000);
  const double c = std::ldexp(1.0, *rc::gen::inRange(-20, 20));
  StepValues x = values();
  x.weight_decay = real(1, 1000);
  for (V v : {V::Paper, V::TfModels, V::MxnetMultiLars, V::NvidiaFastV2}) {
    const double r = *trust_ratio(v, {0.001, 0}, x, {w, g, combined});
    const double scaled = *trust_ratio(v, {0.001, 0}, x, {c * w, c * g, c * combined});
    RC_ASSERT(r > 0);
    RC_ASSERT(std::abs(scaled / r - 1) < 1e-12);
  }
}

// Without decay, eps and momentum the step length is lr eta |w|, whatever the gradient's size: what LARS is for.
RC_GTEST_PROP(LarsProperty, StepLengthDoesNotDependOnTheGradientsSize, ()) {
  const auto entries = *rc::gen::container<std::vector<int>>(4, rc::gen::inRange(-1000, 1000));
  const double scale = std::ldexp(1.0, *rc::gen::inRange(-20, 20));
  std::vector<double> w{entries[0] + 0.5, entries[1] + 0.5}, g{(entries[2] + 0.5) * scale, (entries[3] + 0.5) * scale};
  std::vector<double> v(2, 0.0);
  const double length = norm(std::span<const double>(w));
  StepValues x;
  x.lr = 0.7;
  lars_update<double>(V::Paper, {0.01, 0}, {}, x, w, g, v);
  RC_ASSERT(std::abs(norm(std::span<const double>(v)) / (0.7 * 0.01 * length) - 1) < 1e-12);
}

}  // namespace
}  // namespace lockstep
