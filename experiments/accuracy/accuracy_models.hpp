// The fits that Lockstep predicts accuracy with: which points, which forms, which recipe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/accuracy/average.hpp"
#include "experiments/accuracy/published_accuracy.hpp"

namespace lockstep {

/// Training images of ImageNet (ILSVRC 2012): an epoch of all published points.
inline constexpr std::int64_t kImageNetImages = 1281167;

enum class AccuracyQuantity { EpochsToTarget, Top1 };

/// What predicts one quantity, with the recipe that its constants belong to. No form was chosen: all that the fact base
/// lists are fitted, and those that the points support predict together (FormAverage). The forms were listed, and averaging
/// was preferred to McCandlish's form alone, by people who had seen the points: errors on points kept aside are the test.
struct AccuracyModel {
  explicit AccuracyModel(FormAverage of) : average(std::move(of)) {}

  FormAverage average;
  std::string name, title, recipe;
  AccuracyQuantity quantity = AccuracyQuantity::Top1;
  double target_percent = 0;           ///< epochs to this top-1
  std::optional<double> fixed_epochs;  ///< the only length that the points speak of, if there is one
  int assumed_epochs = 0;              ///< points whose source does not state the epochs: taken as 90

  /// McCandlish's form, of epochs to a target: what Smin and the critical batch are read from.
  const Fit& first() const { return average.fits().front(); }
  /// FormAverage::predict, and nothing for lengths outside 85 to 100 epochs where all points are runs of 90.
  std::optional<AccuracyPrediction> predict(double batch, double epochs) const;
  /// Lengths of runs, in epochs, that predict() speaks of: least and largest. Epochs to a target speak of any.
  std::pair<double, double> lengths() const;
};

/// lars_epochs (epochs to 75.9 %, MLPerf), lars_tuned (top-1, headline runs), lars_2017 (top-1, You et al.), sgd_untuned (top-1, Goyal et al.)
std::vector<std::string> accuracy_model_names();

/// Fits one of them; with `all` also the errors of forms that do not predict. lars_tuned takes its critical batch from McCandlish's form of lars_epochs.
/// ConfigError ("--series", with the nearest name) if there is no such fit or too few points.
AccuracyModel fit_published(const std::string& name, const PublishedAccuracy& published, bool all);

/// What Nado et al. found, for every report that shows LARS above SGD.
extern const char* const kTunedSgdCaveat;

}  // namespace lockstep
