// What there is to choose from: models, clusters, GPUs, libraries, and the keys and words of run files. `lockstep list`.
#pragma once

#include <string>
#include <vector>

#include "experiments/config_io/config_io.hpp"

namespace lockstep {

struct ListEntry {
  std::string name, about;  ///< as a run file would write it; a phrase for people
};

struct Listing {
  std::string kind;  ///< models, clusters, gpus, libraries, keys or words
  std::vector<ListEntry> entries;
};

/// One kind, or "all". Reads every file of its folder. Throws ConfigError for another word, and for a data file with a fault.
std::vector<Listing> list_choices(const std::string& what, const DataPaths& paths);

std::string to_text(const std::vector<Listing>& listings);
/// {"models": [{"name", "about"}, ...], ...}
std::string to_json(const std::vector<Listing>& listings);

}  // namespace lockstep
