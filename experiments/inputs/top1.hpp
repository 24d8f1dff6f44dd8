// Predicted top-1 from published accuracies at the same recipe.
#pragma once

#include "core/spec/run_spec.hpp"
#include "experiments/inputs/shared_files.hpp"
#include "sim/sim_world.hpp"

namespace lockstep {

/// Top-1 at the end of a run, interpolated over the batch between published points of its recipe: tuned LARS (data/published/top1_lars_tuned.csv)
/// or SGD with the linear rule (top1_goyal.csv). Empty unless the model is a ResNet-50 for 1,000 classes on ImageNet trained for 85 to 100 epochs
/// at a constant batch: nothing else is covered. Gives nothing before the end of the run and outside the points' range.
sim::Top1Model top1_model(const RunSpec& run, SharedFiles& files);

}  // namespace lockstep
