// A run file and every file that it names, read and checked together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"

namespace lockstep {

/// Reads `run_file` with its `path=value` overrides, then cluster, library, GPU and published accuracies. Throws ConfigError: all faults of the run file, or
/// else all faults of the files that it names, or else those that only several files together show; each with its place.
Inputs read_inputs(const std::filesystem::path& run_file, const std::vector<std::string>& sets, const DataPaths& paths);

}  // namespace lockstep
