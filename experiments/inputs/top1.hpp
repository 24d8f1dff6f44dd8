// Predicted top-1 for the simulator.
#pragma once

#include <filesystem>

#include "core/spec/run_spec.hpp"
#include "sim/sim_world.hpp"

namespace lockstep {

/// Top-1 at the end of a run by run_accuracy() (experiments/accuracy); nothing before the end: the models are of whole runs, and a run's
/// accuracy on the way depends on its rate.
sim::Top1Model top1_model(const RunSpec& run, const std::filesystem::path& data);

}  // namespace lockstep
