// The edge: TOML files to plain specs and back. Everything a user can get wrong in a file is found here or in core's
// validate().
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/gpu_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "experiments/config_io/overlay.hpp"

namespace lockstep {

/// Where the program's data lies: `data` holds clusters/, gpus/, libraries/ (and published/, measured/).
struct DataPaths {
  std::filesystem::path data;
};

/// Who asked for a file by name: where a fault "there is no such file" points. Empty = the name itself.
struct AskedBy {
  std::string where;  ///< "run.toml:31:1"
  std::string key;    ///< "cluster.file"
};

/// Reads a run file, lays `path=value` overrides over it, and checks it. Throws ConfigError with ALL faults: each names
/// file:line:column (or the `--set` text), the dotted key, and what was expected.
///
/// File format, by key in run_keys(): the sections [model] [training] [optimizer] [schedule] [buckets] [allreduce] [cluster] [simulation]
/// [data] [setup] [output] with the field names of RunSpec; choices are the words of words.hpp; times, sizes and rates
/// are text with a unit
/// ("25MiB"). `schedule.batches` is [[epoch, batch], ...], `simulation.slow_ranks` is [{ rank = 7, factor = 1.3 },
/// ...]. `simulation.slow_links` likewise, with { link, factor }. [cluster_file], [gpu_file] and [library_file] hold
/// any keys of those files: see LaidOver.
RunSpec read_run(const std::filesystem::path& path, const std::vector<std::string>& overrides = {});

/// The place of a dotted key of a run file: "run.toml:12:5", "--set ...", or that of the nearest enclosing table.
std::string place_of(const std::filesystem::path& path, const std::vector<std::string>& overrides,
                     const std::string& key);

/// The effective run file: every key, also those at their default. read_run() gives back an equal RunSpec.
/// A seed must be below 2^63 (TOML has no larger integers).
std::string write_run(const RunSpec& run);

/// One key of the run file, for people.
struct RunKey {
  std::string key;      ///< "allreduce.chunk", or the name of a section that holds any keys: "cluster_file"
  std::string value;    ///< its default as TOML; empty for such a section
  std::string meaning;  ///< a phrase; never empty
  bool whole = false;   ///< its values are whole numbers
};
/// All of them, in the order of the file.
std::vector<RunKey> run_keys();

/// Each takes a path (it contains '/' or ends in ".toml") or the stem of a file in its folder of `paths.data`.
/// Throws ConfigError: no such file (with the nearest stem), or all faults of the file. `over` is laid over the file
/// first; of a cluster file, `nvlink`, `pcie` and `nic` stand there for `node.nvlink`, `node.pcie` and `node.nic` too.
ClusterSpec read_cluster(const std::string& name, const DataPaths& paths, const AskedBy& asked = {},
                         const LaidOver& over = {});
/// Includes the convolution table that the file names, relative to the file.
GpuSpec read_gpu(const std::string& name, const DataPaths& paths, const AskedBy& asked = {}, const LaidOver& over = {});
LibrarySpec read_library(const std::string& name, const DataPaths& paths, const AskedBy& asked = {},
                         const LaidOver& over = {});

/// The stems of the files in one folder of the data ("clusters", "gpus", "libraries"), sorted.
std::vector<std::string> stems(const DataPaths& paths, const std::string& folder);

}  // namespace lockstep
