#include "core/optim/sgd.hpp"

#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

// w = (3, 4), g = (0.8, -0.6), v = (0.5, -0.25); lr 2, previous rate 1.6 so s = 1.25; m = 0.9, b = 0.1.
struct Tensors {
  std::array<double, 2> w{3, 4}, g{0.8, -0.6}, v{0.5, -0.25};
};

StepValues values() {
  StepValues x;
  x.lr = 2;
  x.weight_decay = 0.1;
  x.momentum = 0.9;
  x.momentum_scale = 1.25;
  return x;
}

void update(Tensors& t, const StepValues& x, bool nesterov) { sgd_update<double>(x, nesterov, t.w, t.g, t.v); }

TEST(Sgd, MomentumWithCorrectionByHand) {
  Tensors t;
  update(t, values(), false);
  // d = g + b w = (1.1, -0.2);  v = 0.9 * 1.25 * v + 2 d = (0.5625 + 2.2, -0.28125 - 0.4);  w -= v
  EXPECT_NEAR(t.v[0], 2.7625, 1e-14);
  EXPECT_NEAR(t.v[1], -0.68125, 1e-14);
  EXPECT_NEAR(t.w[0], 0.2375, 1e-14);
  EXPECT_NEAR(t.w[1], 4.68125, 1e-14);
}

TEST(Sgd, NesterovByHand) {
  Tensors t;
  update(t, values(), true);
  // same v;  w -= 0.9 v + 2 d:  3 - (2.48625 + 2.2),  4 - (-0.613125 - 0.4)
  EXPECT_NEAR(t.v[0], 2.7625, 1e-14);
  EXPECT_NEAR(t.w[0], -1.68625, 1e-14);
  EXPECT_NEAR(t.w[1], 5.013125, 1e-14);
}

TEST(Sgd, FloatRoundsOnceFromDouble) {
  std::array<float, 1> w{1.0F}, g{0.3F}, v{0.1F};
  StepValues x;
  x.lr = 0.1;
  x.momentum = 0.9;
  const double velocity = 0.9 * double{0.1F} + 0.1 * double{0.3F};
  sgd_update<float>(x, false, w, std::span<const float>(g), v);
  EXPECT_EQ(v[0], static_cast<float>(velocity));
  EXPECT_EQ(w[0], static_cast<float>(1.0 - velocity));
}

TEST(Sgd, SpansOfDifferentLengthAreOurFault) {
  std::vector<double> w(2), g(3), v(2);
  EXPECT_THROW(sgd_update<double>(values(), false, w, std::span<const double>(g), v), InternalError);
}

// Goyal et al., section 3: the corrected form is u = m u + d, w -= lr u for any positive rates; the plain one is not.
TEST(Sgd, CorrectionGivesTheFormWithTheRateOutside) {
  const std::array<double, 5> rates{0.1, 0.4, 0.8, 0.2, 0.02};
  for (bool nesterov : {false, true}) {
    std::array<double, 1> corrected{1}, v{0}, plain{1}, v_plain{0};
    double w = 1, u = 0;
    for (std::size_t t = 0; t < rates.size(); ++t) {
      StepValues x;
      x.lr = rates[t];
      x.momentum = 0.9;
      x.weight_decay = 0.01;
      const auto gradient = [&](double at) { return std::array<double, 1>{at + 0.1 * static_cast<double>(t)}; };
      const auto g_plain = gradient(plain[0]);
      sgd_update<double>(x, nesterov, plain, g_plain, v_plain);
      x.momentum_scale = t == 0 ? 1 : rates[t] / rates[t - 1];
      const auto g = gradient(corrected[0]);
      sgd_update<double>(x, nesterov, corrected, g, v);
      const double d = gradient(w)[0] + 0.01 * w;
      u = 0.9 * u + d;
      w -= rates[t] * (nesterov ? d + 0.9 * u : u);
    }
    EXPECT_NEAR(corrected[0], w, 1e-13);
    EXPECT_GT(std::abs(plain[0] - w), 1e-3);
  }
}

}  // namespace
}  // namespace lockstep
