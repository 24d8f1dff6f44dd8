// From a name in a run file or on the command line to a file.
#pragma once

#include <filesystem>
#include <string>

#include "experiments/config_io/config_io.hpp"

namespace lockstep {

/// `folder`: "clusters"; `kind`: "cluster", for the message. Throws ConfigError if a stem is not there; a path is
/// returned as it is.
std::filesystem::path find_file(const std::string& name, const DataPaths& paths, const std::string& folder,
                                const std::string& kind, const AskedBy& asked);

}  // namespace lockstep
