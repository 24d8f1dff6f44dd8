#include "core/accuracy/average.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <boost/math/distributions/students_t.hpp>

namespace lockstep {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

// exp(0) = 1, exp(-1) = 0.367879, exp(-inf) = 0; sum 1.367879: 0.731059, 0.268941, 0.
TEST(AkaikeWeights, ByHand) {
  const auto w = akaike_weights({-10, -8, kInfinite});
  EXPECT_NEAR(w[0], 0.731059, 1e-6);
  EXPECT_NEAR(w[1], 0.268941, 1e-6);
  EXPECT_EQ(w[2], 0);
  EXPECT_EQ(akaike_weights({kInfinite, kInfinite}), (std::vector<double>{1, 0}));  // nothing to judge by: the first
  EXPECT_EQ(akaike_weights({-kInfinite, 3, -kInfinite}),
            (std::vector<double>{0.5, 0, 0.5}));  // two that meet every point
}

const std::vector<AccuracyPoint> kPoints{{1000, 0, 31, 0},  {4000, 0, 35, 0},  {8000, 0, 38, 0},
                                         {16000, 0, 47, 0}, {32000, 0, 60, 0}, {64000, 0, 101, 0}};

// The mean of the logarithms of two forms by their weights, and half = sum w_i sqrt(h_i^2 + t_i^2 (y_i - y)^2).
TEST(FormAverage, IsTheMeanOfItsFormsAndCountsTheirDisagreement) {
  const auto forms = epochs_forms();
  const FormAverage a(fit_all({forms[0], forms[2]}, kPoints, "test"));
  const double w0 = a.weights()[0], w1 = a.weights()[1];
  EXPECT_NEAR(w0 + w1, 1, 1e-12);
  EXPECT_GT(w0, FormAverage::kLeastWeight);
  EXPECT_GT(w1, FormAverage::kLeastWeight);
  EXPECT_NEAR(w0 / w1, std::exp((a.fits()[1].aicc - a.fits()[0].aicc) / 2), 1e-9);
  const auto i0 = a.fits()[0].interval(128000, 0), i1 = a.fits()[1].interval(128000, 0);
  const auto p = a.predict(128000, 0);
  ASSERT_TRUE(i0 && i1 && p);
  const double mean = w0 * i0->middle + w1 * i1->middle;
  EXPECT_NEAR(std::log(p->figure.value), mean, 1e-12);
  const double t = boost::math::quantile(boost::math::students_t(4), 0.975);  // 6 points, 2 constants
  const double half =
      w0 * std::hypot(i0->half, t * (i0->middle - mean)) + w1 * std::hypot(i1->half, t * (i1->middle - mean));
  EXPECT_NEAR(std::log(p->figure.high / p->figure.value), half, 1e-9);
  EXPECT_GT(half, w0 * i0->half + w1 * i1->half);
  EXPECT_TRUE(p->extrapolated);
  EXPECT_FALSE(a.predict(128001, 0));
}

// Left out means left out of fits and of weights: the same as an average made without the point.
TEST(FormAverage, LeaveOneOutIsOfTheWholeProcedure) {
  const std::vector<Form> forms{epochs_forms()[0], epochs_forms()[2], epochs_forms()[3]};
  const FormAverage a(fit_all(forms, kPoints, "test"));
  double squares = 0;
  for (std::size_t i = 0; i < kPoints.size(); ++i) {
    std::vector<AccuracyPoint> others = kPoints;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    std::vector<double> aicc;
    std::vector<Fit> fits;
    for (std::size_t f = 0; f < forms.size(); ++f) {
      if (a.weights()[f] <= 0) continue;
      fits.push_back(fit(forms[f], others, "test"));
      aicc.push_back(fits.back().aicc);
    }
    const auto w = akaike_weights(aicc);
    double log_mean = 0;
    for (std::size_t f = 0; f < fits.size(); ++f) log_mean += w[f] * std::log(fits[f].at(kPoints[i].batch, 0));
    const double error = log_mean - std::log(kPoints[i].value);
    EXPECT_NEAR(a.left_out()[i], error, 1e-12) << i;
    squares += error * error;
  }
  EXPECT_NEAR(a.leave_one_out(), std::sqrt(squares / 6), 1e-12);
}

TEST(FormAverage, BlankFormsNeverPredict) {
  std::vector<AccuracyPoint> flat;  // a constant describes these points best
  for (double b : {1000.0, 3000.0, 9000.0, 27000.0, 81000.0}) flat.push_back({b, 90, b == 9000 ? 75.2 : 75.0, 0});
  const FormAverage a(fit_all(effective_epochs_forms(40000.0), flat, "test"));
  EXPECT_LT(a.fits().back().aicc, a.fits().front().aicc);
  EXPECT_EQ(a.weights().back(), 0);
}

TEST(FormAverage, SkippingErrorsOfIdleFormsChangesNothing) {
  const FormAverage all = fit_average(epochs_forms(), kPoints, "test", true);
  const FormAverage quick = fit_average(epochs_forms(), kPoints, "test", false);
  EXPECT_EQ(all.weights(), quick.weights());
  EXPECT_EQ(all.leave_one_out(), quick.leave_one_out());
  EXPECT_EQ(all.predict(50000, 0)->figure.low, quick.predict(50000, 0)->figure.low);
}

}  // namespace
}  // namespace lockstep
