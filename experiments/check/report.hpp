// Checked files as text and JSON, and which files a name on the command line means.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/check/check_file.hpp"

namespace lockstep::check {

/// The kind that `--kind` names; nothing if `word` is empty. Throws ConfigError ("--kind").
std::optional<FileKind> asked_kind(const std::string& word);

/// A path stays; a stem such as "abci" becomes every file of that name in the data folder, or that of `kind`. Throws ConfigError if there is none.
std::vector<std::filesystem::path> named_files(const std::string& name, const DataPaths& paths,
                                               std::optional<FileKind> kind);

/// One line per fault and finding, or that nothing is wrong.
std::string to_text(const FileReport& report);
/// [{"file", "kind", "faults": [{"where", "key", "message"}], "implausible": [{"rule", "where", "key", "message", "accepted_because"}]}, ...]
std::string to_json(const std::vector<FileReport>& reports);

}  // namespace lockstep::check
