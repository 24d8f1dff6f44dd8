#include "experiments/accuracy/accuracy_models.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "experiments/accuracy/fitted_models.hpp"
#include "experiments/accuracy/run_accuracy.hpp"

namespace lockstep {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

const fs::path kData = fs::path(LOCKSTEP_SOURCE_DIR) / "data";

const PublishedAccuracy& published() {
  static const PublishedAccuracy p = read_published_accuracy(kData);
  return p;
}

// Rows of the collected facts: 114 accuracies, of which two belong to runs whose batch changes; 14 reference points and
// 6 systems.
TEST(PublishedAccuracy, HoldsEveryCollectedRow) {
  EXPECT_EQ(published().top1.size(), 112u);
  EXPECT_EQ(published().epochs.size(), 20u);
  for (const auto* rows : {&published().top1, &published().epochs}) {
    for (const auto& p : *rows) {
      EXPECT_FALSE(p.source.empty()) << p.where;
      EXPECT_TRUE(p.confidence == "read" || p.confidence == "secondary" || p.confidence == "memory") << p.where;
    }
  }
}

// Facts: five runs with 23 evaluations each, from epoch 2 to 90.
TEST(PublishedAccuracy, HoldsTheLearningCurvesAndTheirEndIsThePublishedPoint) {
  const auto& learning = published().learning;
  ASSERT_EQ(learning.size(), 5u * 23u);
  double sum = 0;
  for (const auto& p : learning) {
    EXPECT_EQ(p.series, "fujitsu_mlperf06_final");
    EXPECT_EQ(p.batch, 86016);
    if (p.epoch == 90) sum += p.top1_percent;
  }
  // (75.978 + 75.928 + 75.948 + 75.940 + 76.106) / 5 = 75.980
  EXPECT_NEAR(sum / 5, 75.98, 1e-9);
  const auto& top1 = published().top1;
  const auto end =
      std::find_if(top1.begin(), top1.end(), [](const auto& p) { return p.series == "fujitsu_mlperf06_final"; });
  ASSERT_NE(end, top1.end());
  EXPECT_NEAR(sum / 5, end->value, 0.005);  // printed with two digits
  EXPECT_EQ(end->warmup_epochs, 36);
}

// The demand of the project: RMSE of epochs to 75.9 %, each predicted from all other points, within 6 %.
TEST(LarsEpochs, LeaveOneOutIsWithinSixPercent) {
  const AccuracyModel m = fit_published("lars_epochs", published(), true);
  ASSERT_EQ(m.average.points().size(), 8u);
  double sum = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    const auto& p = m.average.points()[i];
    const double error = std::exp(m.average.left_out()[i]) - 1;
    std::printf("batch %6.0f: %5.1f epochs published, %+5.1f %% when left out\n", p.batch, p.value, 100 * error);
    sum += error * error;
  }
  std::printf("root mean square %.2f %%\n", 100 * std::sqrt(sum / 8));
  EXPECT_LT(std::sqrt(sum / 8), 0.06);
  EXPECT_EQ(m.average.fits().size(), 5u);
}

// The same beyond the points: fitted and weighted up to batch 32,768, the two larger ones predicted.
TEST(LarsEpochs, PointsUpTo32kPredictTheRestWithinSixPercent) {
  const AccuracyModel m = fit_published("lars_epochs", published(), false);
  std::vector<AccuracyPoint> near, far;
  for (const auto& p : m.average.points()) (p.batch <= 32768 ? near : far).push_back(p);
  ASSERT_EQ(far.size(), 2u);
  const FormAverage part = fit_average(epochs_forms(), near, "test", false);
  double sum = 0;
  for (const auto& p : far) {
    const auto predicted = part.predict(p.batch, 0);
    ASSERT_TRUE(predicted);
    EXPECT_TRUE(predicted->extrapolated);
    EXPECT_GT(p.value, predicted->figure.low);
    EXPECT_LT(p.value, predicted->figure.high);
    const double error = predicted->figure.value / p.value - 1;
    std::printf("batch %6.0f: %5.1f epochs published, %+5.1f %% from batches up to 32,768\n", p.batch, p.value,
                100 * error);
    sum += error * error;
  }
  EXPECT_LT(std::sqrt(sum / 2), 0.06);
}

// Points kept aside altogether: the systems, and Fujitsu's at 86,016 (90 epochs, of which evaluations every 4 epochs add 1
// to 2), lie in the band. Those of 2019 on one node do not: 60 epochs against 37 a year later, by tuning alone.
TEST(LarsEpochs, PredictsPointsThatAreInNoFit) {
  const AccuracyModel m = fit_published("lars_epochs", published(), false);
  int checked = 0;
  for (const auto& p : published().epochs) {
    if (p.series != "mlperf_systems") continue;
    const auto prediction = m.predict(p.batch, 0);
    ASSERT_TRUE(prediction) << p.where;
    const bool one_node_of_2019 = p.value == 60;
    EXPECT_EQ(p.value >= prediction->figure.low && p.value <= prediction->figure.high, !one_node_of_2019)
        << p.where << ": " << p.value << " against " << prediction->figure.low << " to " << prediction->figure.high;
    ++checked;
  }
  EXPECT_EQ(checked, 6);
}

// Each published point lies in the band of what is predicted from the others, and in the band as reported. Nothing is said where
// a point is more than a factor of two away from the others, and only there.
TEST(LarsTop1, PointsLieInTheBandOfTheOthers) {
  for (const char* name : {"lars_tuned", "lars_2017"}) {
    const AccuracyModel m = fit_published(name, published(), false);
    const FormAverage& a = m.average;
    for (std::size_t i = 0; i < a.points().size(); ++i) {
      const AccuracyPoint& p = a.points()[i];
      double least = 1e9, most = 0;
      for (std::size_t k = 0; k < a.points().size(); ++k) {
        if (k == i) continue;
        least = std::min(least, a.points()[k].batch);
        most = std::max(most, a.points()[k].batch);
      }
      const auto& band = a.left_out_bands()[i];
      EXPECT_EQ(band.has_value(), p.batch >= least / 2 && p.batch <= 2 * most) << name << " " << p.batch;
      const auto whole = m.predict(p.batch, p.epochs)->figure;
      EXPECT_GE(p.value, whole.low) << name << " " << p.batch;
      EXPECT_LE(p.value, whole.high) << name << " " << p.batch;
      if (!band) continue;
      EXPECT_GE(p.value, band->figure.low) << name << " " << p.batch;
      EXPECT_LE(p.value, band->figure.high) << name << " " << p.batch;
      std::printf("%s batch %6.0f, %3.0f epochs: %.2f published, %.2f to %.2f without it\n", name, p.batch, p.epochs,
                  p.value, band->figure.low, band->figure.high);
    }
  }
}

TEST(SgdUntuned, IsFlatThenFalls) {
  const AccuracyModel m = fit_published("sgd_untuned", published(), true);
  EXPECT_EQ(m.average.fits().size(), 7u);
  EXPECT_NEAR(m.predict(256, 90)->figure.value, 76.5, 0.1);
  EXPECT_NEAR(m.predict(8192, 90)->figure.value, 76.26, 0.2);
  EXPECT_NEAR(m.predict(65536, 90)->figure.value, 66.04, 1.6);  // two standard deviations of the runs
  EXPECT_FALSE(m.predict(8192, 60));
  EXPECT_TRUE(m.predict(81920, 90)->extrapolated);
  EXPECT_FALSE(m.predict(200000, 90));
}

TEST(AccuracyModels, AnUnknownNameGetsTheNearest) {
  try {
    fit_published("lars_epoch", published(), false);
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_NE(std::string(e.what()).find("lars_epochs"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("--series"), std::string::npos) << e.what();
  }
}

/// A copy of data/published with `from` replaced by `to` in one file.
fs::path damaged(const std::string& file, const std::string& from, const std::string& to) {
  const fs::path copy = fs::path(testing::TempDir()) / ("accuracy_" + std::to_string(::getpid()));
  fs::remove_all(copy);
  fs::create_directories(copy);
  fs::copy(kData / "published", copy / "published");
  std::ifstream in(copy / "published" / file);
  std::stringstream text;
  text << in.rdbuf();
  std::string s = text.str();
  const auto at = s.find(from);
  EXPECT_NE(at, std::string::npos);
  s.replace(at, from.size(), to);
  std::ofstream(copy / "published" / file) << s;
  return copy;
}

std::string fault(const fs::path& data) {
  std::string what = "no error";
  try {
    read_published_accuracy(data);
  } catch (const ConfigError& e) {
    what = e.what();
  }
  fs::remove_all(data);
  return what;
}

TEST(PublishedAccuracy, DamagedFilesAreNamedWithTheirLine) {
  EXPECT_THAT(
      fault(damaged("accuracy.csv", ",top1_percent,", ",top1_pct,")),
      HasSubstr("accuracy.csv:4:52: top1_percent: no such column; expected one of this name, found \"top1_pct\""));
  EXPECT_THAT(fault(damaged("recipes.csv", ",decay,", ",weights,")),
              HasSubstr("recipes.csv:3:1: decay: no such column"));
  EXPECT_THAT(fault(damaged("accuracy.csv", ",76.51,", ",seventy,")), HasSubstr("accuracy.csv:5:78"));
  EXPECT_THAT(fault(damaged("accuracy.csv", ",76.51,", ",176.51,")), HasSubstr("at most 100"));
  EXPECT_THAT(fault(damaged("epochs_to_target.csv", "lars_epochs,", "lars_epoch,")),
              HasSubstr("did you mean \"lars_epochs\""));
  EXPECT_THAT(fault(damaged("learning_curve.csv", ",6,2.664,", ",1,2.664,")),
              HasSubstr("learning_curve.csv:4:39: epoch: 1; expected more than 2"));
  EXPECT_THAT(fault(damaged("learning_curve.csv", "_final,", "_finel,")), HasSubstr("fujitsu_mlperf06_final"));
  EXPECT_THAT(fault(damaged("epochs_to_target.csv", "mlperf_rcp,", "mlperf_rcq,")), HasSubstr("mlperf_rcp"));
}

RunSpec abci() {
  RunSpec run;
  run.model.name = "resnet50";
  run.training.epochs = 90;
  run.training.global_batch = 81920;
  run.data.training_images = 1281167;
  run.optimizer.kind = OptimizerKind::Lars;
  return run;
}

TEST(RunAccuracy, CoversLarsAndTheLinearRuleOnImageNet) {
  const RunAccuracy lars = run_accuracy(abci(), FittedModels(kData));
  ASSERT_TRUE(lars.top1 && lars.epochs);
  EXPECT_LE(lars.top1->figure.low, 75.08);  // Yamazaki et al.
  EXPECT_GE(lars.top1->figure.high, 75.08);
  EXPECT_TRUE(lars.epochs->extrapolated);  // the reference points end at 65,536
  EXPECT_EQ(lars.target_percent, 75.9);
  RunSpec sgd = abci();
  sgd.optimizer.kind = OptimizerKind::Nesterov;
  sgd.training.global_batch = 8192;
  const RunAccuracy goyal = run_accuracy(sgd, FittedModels(kData));
  ASSERT_TRUE(goyal.top1);
  EXPECT_FALSE(goyal.epochs);
  EXPECT_NE(goyal.recipe.find("Goyal"), std::string::npos);
}

TEST(RunAccuracy, SaysNothingOfOtherRuns) {
  RunSpec small = abci(), other = abci(), changing = abci(), huge = abci(), coarse = abci(), few = abci();
  coarse.model.image_size = 64;
  few.model.classes = 100;
  small.data.training_images = 60000;
  other.model.name = "resnet101";
  changing.schedule.batches = {{30, 163840}};
  huge.training.global_batch = 1000000;
  for (const RunSpec& run : {small, other, changing, huge, coarse, few}) {
    const RunAccuracy a = run_accuracy(run, FittedModels(kData));
    EXPECT_FALSE(a.top1);
    EXPECT_FALSE(a.epochs);
    EXPECT_EQ(a.recipe, "");
  }
  RunSpec said = abci();  // what 0 stands for
  said.model.image_size = 224;
  said.model.classes = 1000;
  EXPECT_TRUE(run_accuracy(said, FittedModels(kData)).top1);
}

}  // namespace
}  // namespace lockstep
