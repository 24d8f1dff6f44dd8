#include "core/accuracy/fit.hpp"

#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "core/base/error.hpp"

namespace lockstep {
namespace {

const Form kCritical = epochs_forms().front();
const Form kHyperbola = fixed_epochs_forms().front();

double constant(const Fit& f, const std::string& name) {
  for (const auto& [key, value] : f.constants()) {
    if (key == name) return value;
  }
  ADD_FAILURE() << name;
  return 0;
}

TEST(FitEpochs, RecoversTheFormItFits) {
  // E = 30 (1 + B / 20000) at 2,000, 10,000, 20,000, 80,000: 33, 45, 60, 150
  const Fit f = fit(kCritical, {{2000, 0, 33, 0}, {80000, 0, 150, 0}, {10000, 0, 45, 0}, {20000, 0, 60, 0}}, "test");
  EXPECT_NEAR(constant(f, "E0"), 30, 1e-5);
  EXPECT_NEAR(constant(f, "Bc"), 20000, 0.01);
  EXPECT_LT(f.leave_one_out, 1e-6);
  EXPECT_EQ(f.low_batch(), 2000);
  EXPECT_EQ(f.high_batch(), 80000);
  EXPECT_NEAR(f.at(40000, 0), 90, 1e-4);
}

TEST(FitEpochs, IsTheLeastSquaresInLogEpochs) {
  const std::vector<AccuracyPoint> points{{1000, 0, 31, 0}, {4000, 0, 40, 0}, {16000, 0, 50, 0}, {64000, 0, 110, 0}};
  const Fit f = fit(kCritical, points, "test");
  const auto cost = [&](double e0, double critical) {
    double sum = 0;
    for (const auto& p : points) sum += std::pow(std::log(p.value / (e0 * (1 + p.batch / critical))), 2);
    return sum;
  };
  const double e0 = constant(f, "E0"), bc = constant(f, "Bc"), best = cost(e0, bc);
  for (double de : {0.99, 1.0, 1.01}) {
    for (double dc : {0.98, 1.0, 1.02}) EXPECT_GE(cost(e0 * de, bc * dc), best - 1e-12);
  }
}

// Every form finds its own constants again from points without noise.
TEST(FitForms, RecoverTheirOwnConstants) {
  const auto check = [](const Form& form, const std::vector<double>& shapes, const std::vector<double>& linear,
                        double value_tolerance) {
    Fit truth;
    truth.form = form;
    truth.shapes = shapes;
    truth.linear = linear;
    std::vector<AccuracyPoint> points;
    for (double epochs : {60.0, 90.0, 150.0}) {
      for (double batch = 512; batch <= 65536; batch *= 2)
        points.push_back({batch, epochs, truth.at(batch, epochs), 0});
    }
    const Fit f = fit(form, points, form.formula);
    EXPECT_LT(f.rms, value_tolerance) << form.formula;
    for (std::size_t i = 0; i < shapes.size(); ++i)
      EXPECT_NEAR(f.shapes[i], shapes[i], 1e-3 * shapes[i]) << form.formula << " " << form.shapes[i].name;
    for (std::size_t i = 0; i < linear.size(); ++i)
      EXPECT_NEAR(f.linear[i], linear[i], 1e-3 * linear[i]) << form.formula << " " << form.constants[i];
  };
  const auto epochs = epochs_forms();
  check(epochs[0], {40000}, {std::log(35.0)}, 1e-8);
  check(epochs[1], {40000, 1.5}, {std::log(35.0)}, 1e-6);
  check(epochs[2], {60000}, {std::log(35.0)}, 1e-8);
  check(epochs[3], {30000}, {std::log(35.0)}, 1e-8);
  check(epochs[4], {0.3}, {std::log(40.0)}, 1e-8);
  const auto fixed = fixed_epochs_forms();
  check(fixed[0], {20000}, {76.5, 5}, 1e-6);
  check(fixed[1], {10000}, {76.5, 0.4}, 1e-6);
  check(fixed[2], {200000, 1.7}, {76.5}, 1e-5);
  check(fixed[3], {8000}, {76.5, 1.2}, 1e-6);
  check(fixed[4], {1.5}, {76.5, 0.4}, 1e-6);
  check(fixed[5], {110000, 1.6}, {23.4}, 1e-5);
  const auto given = effective_epochs_forms(50000.0);
  check(given[0], {}, {76.5, 1}, 1e-9);
  check(given[1], {1.4}, {76.5, 1}, 1e-8);
  check(effective_epochs_forms({})[0], {5000, 1.3}, {76.5, 0.4}, 1e-5);
}

// A = 76 - 1 * 90 / Eeff, Eeff = E / (1 + B / 50000): at B = 50,000 and 90 epochs Eeff = 45, so 76 - 2 = 74; at twice
// the epochs 90, so 75: twice the batch over Bc costs what half the epochs cost.
TEST(EffectiveEpochs, HandCalculation) {
  Fit f;
  f.form = effective_epochs_forms(50000.0)[0];
  f.linear = {76, 1};
  EXPECT_DOUBLE_EQ(f.at(50000, 90), 74);
  EXPECT_DOUBLE_EQ(f.at(50000, 180), 75);
  EXPECT_DOUBLE_EQ(f.at(150000, 180), 74);
}

// Two constants A0 = mean, no residual freedom hidden: for a constant form the interval is the textbook one,
// mean +- t s sqrt(1 + 1/n). Points 1, 2, 3 (+70): mean 72, s = 1 (n - 1 = 2), leave-one-out errors 1.5, 0, 1.5, rms
// sqrt(4.5 / 3) = 1.2247, which is larger than s and takes its place; t(2, 0.975) = 4.30265.
TEST(PredictionInterval, HandCalculationForTheConstant) {
  const Form constant_form = effective_epochs_forms({}).back();
  const Fit f = fit(constant_form, {{1000, 90, 71, 0}, {2000, 90, 72, 0}, {4000, 90, 73, 0}}, "test");
  EXPECT_NEAR(f.leave_one_out, std::sqrt(1.5), 1e-12);
  const auto p = f.predict(2000, 90);
  ASSERT_TRUE(p);
  EXPECT_NEAR(p->figure.value, 72, 1e-12);
  EXPECT_NEAR(p->figure.high - 72, 4.30265 * std::sqrt(1.5) * std::sqrt(1 + 1.0 / 3), 1e-4);
  EXPECT_NEAR(72 - p->figure.low, p->figure.high - 72, 1e-9);
}

// The straight line of a textbook: y = 3 + x with leverage 1/n + (x - mean)^2 / Sxx. For A = Ainf - k u at u = 1, 2, 3, 4
// (batch 0 is impossible, so Bc is huge and u = 90 / E): at the mean 1/4, at the end 1/4 + 2.25/5 = 0.7.
TEST(PredictionInterval, WidensAsTheLeverageSays) {
  std::vector<AccuracyPoint> points;
  const double noise[] = {0.1, -0.1, -0.1, 0.1};
  for (int u = 1; u <= 4; ++u) points.push_back({1, 90.0 / u, 76.0 - u + noise[u - 1], 0});
  const Fit f = fit(effective_epochs_forms(1e12)[0], points, "test");
  const auto middle = f.predict(1, 90 / 2.5), end = f.predict(1, 90);
  ASSERT_TRUE(middle && end);
  const auto half = [](const AccuracyPrediction& p) { return (p.figure.high - p.figure.low) / 2; };
  EXPECT_NEAR(half(*end) / half(*middle), std::sqrt(1.7 / 1.25), 1e-6);
}

TEST(PredictionInterval, ExtrapolationIsMarkedAndFarAwayRefused) {
  const Fit f = fit(kCritical, {{2000, 0, 33, 0}, {80000, 0, 155, 0}, {10000, 0, 45, 0}, {20000, 0, 61, 0}}, "test");
  EXPECT_FALSE(f.predict(999, 0));
  EXPECT_TRUE(f.predict(1000, 0)->extrapolated);
  EXPECT_FALSE(f.predict(2000, 0)->extrapolated);
  EXPECT_FALSE(f.predict(80000, 0)->extrapolated);
  EXPECT_TRUE(f.predict(160000, 0)->extrapolated);
  EXPECT_FALSE(f.predict(160001, 0));
  EXPECT_FALSE(f.predict(std::nan(""), 0));
  const auto in = f.predict(40000, 0)->figure, out = f.predict(160000, 0)->figure;
  EXPECT_GT(out.high / out.low, in.high / in.low);
}

TEST(Fit, FlatPointsEndWithoutTrend) {
  const Fit f = fit(kCritical, {{256, 0, 40, 0}, {1024, 0, 40, 0}, {4096, 0, 40, 0}, {8192, 0, 40, 0}}, "test");
  EXPECT_NEAR(f.at(4096, 0), 40, 0.05);
  const Fit top1 =
      fit(kHyperbola, {{256, 90, 76, 0}, {1024, 90, 76, 0}, {4096, 90, 76, 0}, {8192, 90, 76, 0}, {9000, 90, 76, 0}},
          "test");
  EXPECT_NEAR(top1.predict(4096, 90)->figure.value, 76, 1e-9);
}

TEST(Fit, TooFewPointsAreTheUsersFault) {
  try {
    fit(kCritical, {{256, 0, 40, 0}, {1024, 0, 41, 0}}, "mine.csv");
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_NE(std::string(e.what()).find("mine.csv"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("E0 (1 + B/Bc)"), std::string::npos) << e.what();
  }
  // four points, but all of one batch
  EXPECT_THROW(fit(kCritical, {{256, 0, 40, 0}, {256, 0, 41, 0}, {256, 0, 42, 0}, {256, 0, 43, 0}}, ""), ConfigError);
}

// n log(rms^2) + 2 K + 2 K (K + 1) / (n - K - 1) with K = 2 (mean and variance) for the constant at 71, 72, 73, 74:
// mean square 1.25, 4 log 1.25 + 4 + 12 / 1 = 16.8926
TEST(Fit, AiccHandCalculation) {
  const Fit f =
      fit(effective_epochs_forms({}).back(), {{1, 90, 71, 0}, {2, 90, 72, 0}, {3, 90, 73, 0}, {4, 90, 74, 0}}, "test");
  EXPECT_NEAR(f.aicc, 4 * std::log(1.25) + 16, 1e-9);
}

// Known spread: a point of tiny sigma draws the curve to itself. Constant of 70 (sigma 1) and 80 (sigma 0.1):
// (70 + 100 * 80) / 101, here with a third point to satisfy the count.
TEST(Fit, KnownSpreadWeighs) {
  const Fit f = fit(effective_epochs_forms({}).back(), {{1, 90, 70, 1}, {2, 90, 80, 0.1}, {3, 90, 70, 1}}, "test");
  EXPECT_NEAR(f.linear[0], (70 + 8000 + 70) / 102.0, 1e-9);
}

// E = 30 exp(B / 20000): 30 e^0.5 = 49.46 at 10,000, 30 e = 81.55 at 20,000; then in proportion to the batch: 163.1 at 40,000.
TEST(ExponentialForm, StepsNeverRise) {
  Fit f;
  f.form = epochs_forms()[2];
  f.shapes = {20000};
  f.linear = {std::log(30.0)};
  EXPECT_NEAR(f.at(10000, 0), 49.46, 0.005);
  EXPECT_NEAR(f.at(20000, 0), 81.55, 0.005);
  EXPECT_NEAR(f.at(40000, 0), 163.10, 0.005);
  for (double b = 1000; b < 1e6; b *= 1.5) EXPECT_LE(f.at(1.5 * b, 0) / (1.5 * b), f.at(b, 0) / b * (1 + 1e-12)) << b;
}

RC_GTEST_PROP(FitProperties, NoFormBendsTheWrongWay, ()) {
  const auto forms = *rc::gen::element(0, 1, 2);
  std::vector<AccuracyPoint> points;
  for (double batch = 256; batch <= 65536; batch *= 4) {
    const int value = *rc::gen::inRange(6000, 8000);
    points.push_back({batch, *rc::gen::element(60.0, 90.0, 120.0), value / 100.0, 0});
  }
  points.push_back({1000, 100, 75, 0});
  const auto list = forms == 0 ? epochs_forms() : forms == 1 ? fixed_epochs_forms() : effective_epochs_forms(40000.0);
  const Fit f = fit(list[*rc::gen::inRange<std::size_t>(0, list.size())], points, "property");
  for (double batch = 128; batch < 131072; batch *= 2) {
    const double here = f.at(batch, 90), next = f.at(2 * batch, 90), slack = 1e-9 * std::abs(here);
    if (forms == 0) {
      RC_ASSERT(next >= here - slack);
    } else {
      RC_ASSERT(next <= here + slack);
    }
    if (forms == 2) RC_ASSERT(f.at(batch, 100) >= here - slack);
  }
}

// Limits of E0 (1 + B/Bc): at small batch epochs are constant (perfect scaling of steps), at large batch steps are.
RC_GTEST_PROP(FitProperties, CriticalBatchHasBothLimits, ()) {
  const double critical = *rc::gen::inRange(1000, 100000), e0 = *rc::gen::inRange(10, 100);
  Fit f;
  f.form = kCritical;
  f.shapes = {critical};
  f.linear = {std::log(e0)};
  RC_ASSERT(std::abs(f.at(critical * 1e-6, 0) / e0 - 1) < 1.1e-6);
  const double large = critical * 1e6;  // steps = E N / B, in units of N: E0 / Bc
  RC_ASSERT(std::abs(f.at(large, 0) / large / (e0 / critical) - 1) < 1.1e-6);
  RC_ASSERT(std::abs(f.at(critical, 0) / (2 * e0) - 1) < 1e-12);
}

}  // namespace
}  // namespace lockstep
