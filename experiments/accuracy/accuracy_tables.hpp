// What `lockstep accuracy` prints and writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/accuracy/accuracy_models.hpp"

namespace lockstep {

/// One simulated run with its predicted accuracy.
struct TimedPoint {
  double batch = 0;
  int gpus = 0;
  double step_ms = 0, time_to_train_s = 0;
  std::optional<AccuracyPrediction> top1, epochs;
  std::optional<Figure> time_to_target_s;
};

/// Forms with constants and errors, predictions at `batches` with bands, recipes, and the sentence on tuned SGD.
std::string accuracy_text(const std::vector<AccuracyModel>& models, const std::vector<double>& batches, double epochs,
                          const std::vector<TimedPoint>& timed);
std::string accuracy_json(const std::vector<AccuracyModel>& models, const std::vector<double>& batches, double epochs,
                          const std::vector<TimedPoint>& timed);

/// Every published point; `quantity` is top1_percent or epochs; fit as in data/published, empty where `models` lack it.
std::string points_csv(const PublishedAccuracy& published, const std::vector<AccuracyModel>& models);
/// Top-1 over epochs and seconds of every published run that is known so closely; warmup_epochs where accuracy.csv tells it of the series and batch.
std::string learning_curves_csv(const PublishedAccuracy& published);
/// A row per form and one named "mean": weight, constants, fit error, leave-one-out error (percent for epochs, points for top-1), AICc.
std::string fits_csv(const std::vector<AccuracyModel>& models);
/// A row per point: published, and what the mean of the forms fitted to the other points says.
std::string left_out_csv(const std::vector<AccuracyModel>& models);
/// The mean of the forms at 16 batches per doubling over all that it may say: value, band, extrapolated. `epochs` outside the
/// lengths of the points are replaced by the nearest of them.
std::string curves_csv(const std::vector<AccuracyModel>& models, double epochs);
/// A row per fit and batch: value, low, high, extrapolated; empty cells where nothing is predicted.
std::string predictions_csv(const std::vector<AccuracyModel>& models, const std::vector<double>& batches,
                            double epochs);
std::string timed_csv(const std::vector<TimedPoint>& timed);

}  // namespace lockstep
