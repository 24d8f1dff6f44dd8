// What the plausibility rules hold against values that a run lays over its files.
#pragma once

#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"

namespace lockstep::check {

/// "gpu_file.memory_achieved: ...": what the rules find in the cluster, GPU and library as [cluster_file], [gpu_file] and [library_file] make them and do
/// not find at the same key in the files as they stand; the rest is for `lockstep check`. Reads the files of `inputs` once more;
/// empty at no cost without such values. Throws ConfigError if a file has gone since.
std::vector<std::string> laid_over_warnings(const Inputs& inputs, const DataPaths& paths);

}  // namespace lockstep::check
