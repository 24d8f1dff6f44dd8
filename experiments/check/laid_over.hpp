// What the plausibility rules hold against values that a run lays over its files.
#pragma once

#include <string>
#include <vector>

#include "experiments/compose.hpp"

namespace lockstep::check {

/// "gpu_file.memory_achieved: ...": what the rules of cluster, GPU and library files find at keys of [cluster_file], [gpu_file] and [library_file];
/// what the files themselves say is for `lockstep check`. Empty without such values.
std::vector<std::string> laid_over_warnings(const Inputs& inputs);

}  // namespace lockstep::check
