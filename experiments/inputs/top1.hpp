// Predicted top-1 for the simulator.
#pragma once

#include <filesystem>

#include "core/spec/run_spec.hpp"
#include "sim/sim_world.hpp"

namespace lockstep {

/// Top-1 at the end of a run by run_accuracy() (experiments/accuracy); nothing before the end: the models are of whole runs, and a run's
/// accuracy on the way depends on its rate. Published points are read and fitted when the end is asked for the first
/// time (a sweep plans thousands of runs that never ask): ConfigError then, as read_published_accuracy. Copies share the result; safe from several threads.
sim::Top1Model top1_model(const RunSpec& run, const std::filesystem::path& data);

}  // namespace lockstep
