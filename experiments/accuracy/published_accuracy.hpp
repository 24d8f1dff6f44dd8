// data/published as values: accuracy and epochs against batch size, and the recipes behind them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// The fits that rows of epochs_to_target.csv and of accuracy.csv may enter.
std::vector<std::string> epochs_fits();
std::vector<std::string> top1_fits();

/// A row of accuracy.csv or epochs_to_target.csv.
struct PublishedPoint {
  std::string series, fit;  ///< fit: the fit that uses the row, or empty
  std::string model, optimizer;
  double batch = 0;
  std::optional<double> epochs;  ///< length of the run; of epochs_to_target.csv empty
  double value = 0;              ///< top-1 in percent, or epochs to the target
  double sigma = 0;              ///< over runs, 0 = unknown
  std::optional<double> warmup_epochs;
  std::string where;  ///< "accuracy.csv:12"
  std::string source, confidence, note;
};

/// A row of learning_curve.csv: one evaluation of one run.
struct LearningPoint {
  std::string series, run;
  double batch = 0, epoch = 0, top1_percent = 0;
  double seconds = 0;  ///< since the run's start
  std::string source, confidence;
};

/// A row of recipes.csv: what was done to get a series.
struct SeriesRecipe {
  std::string series, label, optimizer, schedule, smoothing, decay, trials, seeds;
  /// "Goyal et al. 2017: SGD Nesterov 0.9, untuned; schedule ...; smoothing none; decay 1e-4; trials 1, seeds 5"
  std::string legend() const;
};

/// What data/published says of accuracy. Rows whose batch changes during the run are left out of `top1`.
struct PublishedAccuracy {
  std::vector<PublishedPoint> top1, epochs;
  std::vector<LearningPoint> learning;  ///< run by run, in order of epochs
  std::vector<SeriesRecipe> recipes;
  const SeriesRecipe& recipe(const std::string& series) const;
};

/// Throws ConfigError at file:line:column for a cell that is no number or out of range, for missing columns, for a
/// series that recipes.csv lacks, and for a learning curve whose epochs or seconds do not rise.
PublishedAccuracy read_published_accuracy(const std::filesystem::path& data);

}  // namespace lockstep
