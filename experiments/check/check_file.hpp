// One file checked: what is wrong in it, and below that what is implausible and why.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "experiments/config_io/config_io.hpp"

namespace lockstep::check {

enum class FileKind { Run, Cluster, Gpu, Library };

/// "run", "cluster", "gpu", "library".
std::string name_of(FileKind kind);
std::vector<std::string> kind_names();
/// Nothing for any other word.
std::optional<FileKind> kind_named(const std::string& name);

/// What a rule holds against a file, with its place.
struct Finding {
  std::string rule;    ///< such as "pcie_rate"
  Fault fault;         ///< where, key, why
  std::string reason;  ///< of a comment "# check RULE: reason" in the file, which accepts it; empty = not accepted
};

struct FileReport {
  std::filesystem::path file;
  FileKind kind = FileKind::Run;
  std::vector<Fault> faults;      ///< must be mended; of files that this one names too
  std::vector<Finding> findings;  ///< none while there are faults, in the order of the rules
  /// Findings that no comment accepts.
  std::size_t open() const;
};

/// Reads one file, and those that it names, and applies every rule of its kind. Without `kind` the top-level keys tell it. Faults are in the
/// report and not thrown. Also found: a "# check ..." comment that names no rule or accepts nothing (rule "comment").
/// Takes milliseconds; a GPU file with a convolution table about ten.
FileReport check_file(const std::filesystem::path& file, const DataPaths& paths,
                      std::optional<FileKind> kind = std::nullopt);

/// All files of clusters/, gpus/ and libraries/ below `paths.data`, sorted. Throws ConfigError if there is none.
std::vector<std::filesystem::path> data_files(const DataPaths& paths);

/// Every rule of one kind: name, what it expects.
std::vector<std::pair<std::string, std::string>> rules_of(FileKind kind);

}  // namespace lockstep::check
