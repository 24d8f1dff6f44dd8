#include "core/run/convergence.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "core/base/error.hpp"

namespace lockstep {
namespace {

/// batch, value, sigma of a file of data/published: the first three columns.
std::vector<BatchPoint> published(const std::string& name) {
  std::ifstream file(std::string(LOCKSTEP_SOURCE_DIR) + "/data/published/" + name);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "batch,value,sigma,source,confidence");
  std::vector<BatchPoint> points;
  while (std::getline(file, line)) {
    BatchPoint p;
    EXPECT_EQ(std::sscanf(line.c_str(), "%lf,%lf,%lf,", &p.batch, &p.value, &p.sigma), 3) << line;
    points.push_back(p);
  }
  return points;
}

TEST(FitEpochs, RecoversTheFormItFits) {
  // E = 30 (1 + B / 20000) at 2,000, 10,000, 20,000, 80,000: 33, 45, 60, 150
  const EpochsModel m = fit_epochs({{2000, 33, 0}, {80000, 150, 0}, {10000, 45, 0}, {20000, 60, 0}});
  EXPECT_NEAR(m.e0, 30, 1e-5);
  EXPECT_NEAR(m.critical_batch, 20000, 0.01);
  EXPECT_LT(m.leave_one_out, 1e-6);
  EXPECT_EQ(m.low_batch, 2000);
  EXPECT_EQ(m.high_batch, 80000);
  EXPECT_NEAR(m.epochs(40000)->value, 90, 1e-4);
}

TEST(FitEpochs, IsTheLeastSquaresInLogEpochs) {
  const std::vector<BatchPoint> points{{1000, 31, 0}, {4000, 40, 0}, {16000, 50, 0}, {64000, 110, 0}};
  const EpochsModel m = fit_epochs(points);
  const auto cost = [&](double e0, double critical) {
    double sum = 0;
    for (const auto& p : points) sum += std::pow(std::log(p.value / (e0 * (1 + p.batch / critical))), 2);
    return sum;
  };
  const double best = cost(m.e0, m.critical_batch);
  for (double de : {0.99, 1.0, 1.01}) {
    for (double dc : {0.98, 1.0, 1.02}) EXPECT_GE(cost(m.e0 * de, m.critical_batch * dc), best - 1e-12);
  }
}

TEST(FitEpochs, RefusesFarOutsideAndWidensByTheLeaveOneOutError) {
  const EpochsModel m{30, 20000, 2000, 80000, 0.05};
  EXPECT_FALSE(m.epochs(999).has_value());
  EXPECT_TRUE(m.epochs(1000).has_value());
  EXPECT_TRUE(m.epochs(160000).has_value());
  EXPECT_FALSE(m.epochs(160001).has_value());
  EXPECT_FALSE(m.epochs(std::nan("")).has_value());
  const Figure f = *m.epochs(20000);
  EXPECT_NEAR(f.value, 60, 1e-12);
  EXPECT_NEAR(f.low, 54, 1e-12);  // 60 (1 - 2 * 0.05)
  EXPECT_NEAR(f.high, 66, 1e-12);
}

TEST(FitEpochs, ConstantEpochsGiveAVeryLargeCriticalBatch) {
  const EpochsModel m = fit_epochs({{256, 40, 0}, {1024, 40, 0}, {4096, 40, 0}});
  EXPECT_GT(m.critical_batch, 1e8);
  EXPECT_NEAR(m.epochs(2048)->value, 40, 0.01);
}

TEST(FitEpochs, TooFewOrImpossiblePointsAreOurFault) {
  EXPECT_THROW(fit_epochs({{256, 40, 0}, {1024, 41, 0}}), InternalError);
  EXPECT_THROW(fit_epochs({{256, 40, 0}, {1024, 41, 0}, {2048, 0, 0}}), InternalError);
}

// MLPerf reference convergence points: eight batches, LARS, epochs to 75.9 %.
TEST(FitEpochs, MlperfReferencePoints) {
  const auto points = published("mlperf_rcp.csv");
  ASSERT_EQ(points.size(), 8U);
  const EpochsModel m = fit_epochs(points);
  RecordProperty("e0", std::to_string(m.e0));
  RecordProperty("critical_batch", std::to_string(m.critical_batch));
  RecordProperty("leave_one_out", std::to_string(m.leave_one_out));
  // Independent of the code: each point, predicted from the seven others by its own Gauss-Newton iteration, agrees.
  double sum = 0;
  for (std::size_t out = 0; out < points.size(); ++out) {
    double a = std::log(35.0), u = 1 / 50000.0;  // log E0 and 1 / Bc
    for (int iteration = 0; iteration < 100; ++iteration) {
      double s11 = 0, s12 = 0, s22 = 0, r1 = 0, r2 = 0;
      for (std::size_t i = 0; i < points.size(); ++i) {
        if (i == out) continue;
        const double r = std::log(points[i].value) - a - std::log1p(u * points[i].batch);
        const double j = points[i].batch / (1 + u * points[i].batch);
        s11 += 1, s12 += j, s22 += j * j, r1 += r, r2 += j * r;
      }
      const double det = s11 * s22 - s12 * s12;
      a += (s22 * r1 - s12 * r2) / det;
      u += (s11 * r2 - s12 * r1) / det;
    }
    sum += std::pow(std::exp(a) * (1 + u * points[out].batch) / points[out].value - 1, 2);
  }
  EXPECT_NEAR(m.leave_one_out, std::sqrt(sum / 8), 1e-6);
  // The recipes of neighbouring batches (2,048: 38.4, 3,264: 35.2) differ by 9 %: no smooth form does much better.
  EXPECT_GT(m.leave_one_out, 0.02);
  EXPECT_LT(m.leave_one_out, 0.09);
  for (const auto& p : points) {
    const Figure f = *m.epochs(p.batch);
    EXPECT_LE(f.low, p.value);
    EXPECT_GE(f.high, p.value);
  }
}

TEST(InterpolateTop1, ByHand) {
  const std::vector<BatchPoint> points{{1024, 76, 0.1}, {16384, 74, 0.3}, {4096, 75.6, 0.2}};
  // Halfway in log2 between 4,096 and 16,384: 74.8; sigma = hypot(0.1, 0.15); gap = 2/4 * 1.6
  const Figure f = *interpolate_top1(points, 8192);
  EXPECT_NEAR(f.value, 74.8, 1e-12);
  const double half = 2 * std::hypot(0.1, 0.15) + 0.8;
  EXPECT_NEAR(f.low, 74.8 - half, 1e-12);
  EXPECT_NEAR(f.high, 74.8 + half, 1e-12);
  // At a point: its own value, two sigma.
  const Figure p = *interpolate_top1(points, 4096);
  EXPECT_NEAR(p.value, 75.6, 1e-12);
  EXPECT_NEAR(p.high - p.low, 0.8, 1e-12);
  EXPECT_NEAR(interpolate_top1(points, 1024)->value, 76, 1e-12);
}

TEST(InterpolateTop1, NothingOutsideTheRange) {
  const std::vector<BatchPoint> points{{1024, 76, 0.1}, {4096, 75, 0.1}};
  EXPECT_FALSE(interpolate_top1(points, 1023).has_value());
  EXPECT_FALSE(interpolate_top1(points, 4097).has_value());
  EXPECT_FALSE(interpolate_top1({}, 1024).has_value());
}

TEST(InterpolateTop1, EqualBatchesJoinAndUnknownSigmaTakesTheLargestKnown) {
  // 75.8 and 75.2 at one batch: mean 75.5, sigma sqrt(2 * 0.3^2 / 1) = 0.3 sqrt 2; the other point's sigma is unknown.
  const std::vector<BatchPoint> points{{65536, 75.8, 0}, {65536, 75.2, 0}, {32768, 76.3, 0}};
  const Figure joined = *interpolate_top1(points, 65536);
  EXPECT_NEAR(joined.value, 75.5, 1e-12);
  EXPECT_NEAR(joined.high, 75.5 + 2 * 0.3 * std::sqrt(2.0), 1e-12);
  EXPECT_NEAR(interpolate_top1(points, 32768)->high, 76.3 + 2 * 0.3 * std::sqrt(2.0), 1e-12);
}

TEST(InterpolateTop1, PublishedSeries) {
  EXPECT_NEAR(interpolate_top1(published("top1_goyal.csv"), 8192)->value, 76.26, 1e-12);
  EXPECT_FALSE(interpolate_top1(published("top1_goyal.csv"), 81920).has_value());
  EXPECT_NEAR(interpolate_top1(published("top1_lars_resnet50.csv"), 16384)->value, 74.4, 1e-12);
  EXPECT_NEAR(interpolate_top1(published("top1_lars_tuned.csv"), 81920)->value, 75.08, 1e-12);
}

RC_GTEST_PROP(FitEpochsProperty, RecoversAnyCurveOfTheForm, ()) {
  const double e0 = *rc::gen::inRange(10, 100), critical = 1000.0 * *rc::gen::inRange(1, 200);
  std::vector<BatchPoint> points;
  for (double batch = 1024; batch <= 65536; batch *= 2) points.push_back({batch, e0 * (1 + batch / critical), 0});
  const EpochsModel m = fit_epochs(points);
  RC_ASSERT(std::abs(m.e0 / e0 - 1) < 1e-4);
  RC_ASSERT(std::abs(m.epochs(50000)->value / (e0 * (1 + 50000 / critical)) - 1) < 1e-5);
  RC_ASSERT(m.epochs(20000)->value < m.epochs(40000)->value);
}

}  // namespace
}  // namespace lockstep
