#include "core/optim/optimizer.hpp"

#include <array>

#include <gtest/gtest.h>

#include "core/optim/lars.hpp"

namespace lockstep {
namespace {

// w = 2, g = 0.5, v = 0.25; lr 0.1, previous 0.05: s = 2; m = 0.8, b = 0.1.
struct One {
  std::array<double, 1> w{2}, g{0.5}, v{0.25};
};

OptimizerSpec spec(OptimizerKind kind) {
  OptimizerSpec o;
  o.kind = kind;
  o.momentum = 0.8;
  o.weight_decay = 0.1;
  return o;
}

double updated(const OptimizerSpec& o, TensorRole role, bool linear = false) {
  One t;
  update_tensor<double>(o, role, linear, step_values(o, 0.4, 0.1, 0.1, 2.0), t.w, std::span<const double>(t.g), t.v);
  return t.w[0];
}

TEST(Optimizer, StepValuesTakeMomentumAndBaseDecayFromTheRunFile) {
  const StepValues x = step_values(spec(OptimizerKind::Sgd), 0.4, 0.1, 0.05, 2.0);
  EXPECT_EQ(x.lr, 0.1);
  EXPECT_EQ(x.base_lr, 0.4);
  EXPECT_EQ(x.weight_decay, 0.05);
  EXPECT_EQ(x.weight_decay_base, 0.1);
  EXPECT_EQ(x.momentum, 0.8);
  EXPECT_EQ(x.momentum_scale, 2.0);
}

TEST(Optimizer, SgdCorrectionAndSkipList) {
  OptimizerSpec o = spec(OptimizerKind::Sgd);
  // weight: v = 0.8*2*0.25 + 0.1 (0.5 + 0.2) = 0.47;  bias and norm: no decay, v = 0.4 + 0.05 = 0.45
  EXPECT_NEAR(updated(o, TensorRole::Weight), 1.53, 1e-15);
  for (TensorRole role : {TensorRole::Bias, TensorRole::Gamma, TensorRole::Beta}) {
    EXPECT_NEAR(updated(o, role), 1.55, 1e-15);
  }
  o.skip_bias_and_norm = false;
  EXPECT_NEAR(updated(o, TensorRole::Beta), 1.53, 1e-15);
  o.momentum_correction = false;  // v = 0.2 + 0.07
  EXPECT_NEAR(updated(o, TensorRole::Weight), 1.73, 1e-15);
}

TEST(Optimizer, Nesterov) {
  // v = 0.47;  w = 2 - (0.8 * 0.47 + 0.07)
  EXPECT_NEAR(updated(spec(OptimizerKind::Nesterov), TensorRole::Weight), 1.554, 1e-15);
}

TEST(Optimizer, LarsGoesToItsVariantAndRole) {
  OptimizerSpec o = spec(OptimizerKind::Lars);
  o.trust = 0.07;
  // r = 0.07 * 2 / (0.5 + 0.1 * 2) = 0.2 (one element: |g + b w| is the same sum)
  o.lars_variant = LarsVariant::Paper;  // v = 0.2 + 0.1*0.2*0.7 = 0.214
  EXPECT_NEAR(updated(o, TensorRole::Weight), 1.786, 1e-15);
  EXPECT_NEAR(updated(o, TensorRole::Gamma), 1.75, 1e-15);  // v = 0.2 + 0.05
  o.lars_variant = LarsVariant::MxnetMultiLars;             // v = 0.4 - 0.014; w += v
  EXPECT_NEAR(updated(o, TensorRole::Weight), 2.386, 1e-15);
  EXPECT_NEAR(updated(o, TensorRole::Bias, false), 2.35, 1e-15);  // v = 0.4 - 0.05
  EXPECT_NEAR(updated(o, TensorRole::Bias, true), 2.33, 1e-15);   // v = 0.4 - 0.07: fc bias decays
  o.lars_variant = LarsVariant::NvidiaFastV2;
  EXPECT_NEAR(updated(o, TensorRole::Bias, true), 2.13, 1e-15);  // v = 0.2 - 0.07: not corrected
  o.skip_bias_and_norm = false;
  EXPECT_NEAR(updated(o, TensorRole::Bias, true), 2.386, 1e-15);  // treated as a weight
  o.lars_variant = LarsVariant::Fujitsu;
  o.epsilon = 0.02;  // r = 0.14 / (0.5 + 0.1*0.4*2 + 0.02) = 0.7/3;  v = 0.2 - r (0.1*0.4*2 + 0.05)
  EXPECT_NEAR(updated(o, TensorRole::Weight), 2.2 - 0.7 / 3 * 0.13, 1e-15);
}

TEST(Optimizer, FloatIsTheRoundedDouble) {
  OptimizerSpec o = spec(OptimizerKind::Lars);
  o.lars_variant = LarsVariant::ApexScale;
  std::array<float, 2> w{0.1F, -0.7F}, v{0.01F, 0.02F};
  const std::array<float, 2> g{0.3F, 0.9F};
  std::array<double, 2> wd{w[0], w[1]}, vd{v[0], v[1]};
  const std::array<double, 2> gd{g[0], g[1]};
  const StepValues x = step_values(o, 1, 0.5, 0.1, 1);
  update_tensor<float>(o, TensorRole::Weight, false, x, w, g, v);
  update_tensor<double>(o, TensorRole::Weight, false, x, wd, gd, vd);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(w[i], static_cast<float>(wd[i]));
    EXPECT_EQ(v[i], static_cast<float>(vd[i]));
  }
}

}  // namespace
}  // namespace lockstep
