// What the user asks of `lockstep accuracy`, from the command line or from Python: checked, then fitted.
#pragma once

#include <string>
#include <vector>

#include "experiments/accuracy/accuracy_models.hpp"

namespace lockstep {

struct AccuracyRequest {
  std::vector<std::string> series;  ///< names of fits; empty: all
  std::vector<double> batches;      ///< global batches to predict; empty: default_batches()
  double epochs = 90;               ///< length of the predicted runs, where the series tells lengths apart
};

/// 2,048 to 131,072: what 2,048 GPUs hold at 1 to 64 images each.
std::vector<double> default_batches();

/// The fits asked for, each once. ConfigError ("--series" with the nearest name, "--batch", "--epochs") for an unknown series,
/// a value out of range, and a batch that was asked for and that no fit covers (with the ranges of the fits).
std::vector<AccuracyModel> requested_models(const AccuracyRequest& request, const PublishedAccuracy& published);

}  // namespace lockstep
