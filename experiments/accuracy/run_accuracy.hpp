// Predicted accuracy of one run.
#pragma once

#include <optional>
#include <string>

#include "core/accuracy/average.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

class FittedModels;

/// What the fits say of a run; empty where none covers it.
struct RunAccuracy {
  std::optional<AccuracyPrediction> top1;    ///< percent, at the end of the run
  std::optional<AccuracyPrediction> epochs;  ///< to target_percent, of runs as long as it takes
  double target_percent = 0;
  std::string recipe;  ///< whose constants these are; empty if nothing is predicted
};

/// Covered: ResNet-50 for 1,000 classes on all of ImageNet at 224 x 224 and a constant batch. The fits cover no other run.
bool accuracy_covered(const RunSpec& run);

/// LARS by lars_tuned and lars_epochs, SGD by sgd_untuned (no epochs to a target: step decay quantises them). Pure but for what `models` keeps; microseconds
/// once they are fitted.
RunAccuracy run_accuracy(const RunSpec& run, const FittedModels& models);

}  // namespace lockstep
