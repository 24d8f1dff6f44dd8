// A run file and every file that it names, read and checked together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/inputs/shared_files.hpp"

namespace lockstep {

/// Reads `run_file` with its `path=value` overrides, then cluster, library and GPU, and the published accuracies where they cover the run. Throws ConfigError with all faults of all these
/// files in one go, each with its place; those that only several files together show are there once each of these files could be read.
Inputs read_inputs(const std::filesystem::path& run_file, const std::vector<std::string>& sets, const DataPaths& paths);

/// The same where many runs have files in common.
Inputs read_inputs(const std::filesystem::path& run_file, const std::vector<std::string>& sets, SharedFiles& files);

}  // namespace lockstep
