// Predicted top-1 for the simulator.
#pragma once

#include <memory>

#include "core/spec/run_spec.hpp"
#include "experiments/accuracy/fitted_models.hpp"
#include "sim/sim_world.hpp"

namespace lockstep {

/// Top-1 at the end of a run by run_accuracy(); nothing before the end: the fits are of whole runs, and a run's accuracy on the way depends on
/// its rate. The fits are made when the end is first asked for (a sweep plans thousands of runs that never ask) and shared by all who hold
/// `models`, not null.
sim::Top1Model top1_model(const RunSpec& run, std::shared_ptr<const FittedModels> models);

}  // namespace lockstep
