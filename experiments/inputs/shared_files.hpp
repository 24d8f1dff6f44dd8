// Files that many runs have in common: a sweep of 100,000 points reads each of them once.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/config_io/node.hpp"

namespace lockstep {

/// Values by name, each made once. Safe to call from several threads; what `make` throws is not kept. References last as long as this.
template <class T>
class MadeOnce {
 public:
  template <class Make>
  const T& of(const std::string& name, Make&& make) {
    {
      const std::lock_guard lock(guard_);
      if (const auto known = values_.find(name); known != values_.end()) return *known->second;
    }
    auto made = std::make_unique<const T>(make());  // two threads may make the same: the first one's stays
    const std::lock_guard lock(guard_);
    return *values_.try_emplace(name, std::move(made)).first->second;
  }

 private:
  std::mutex guard_;
  std::map<std::string, std::unique_ptr<const T>> values_;
};

/// What run files and the files that they name say, each file read when it is first asked for and never again: a sweep sees one state of them.
/// Memory: one copy of each; files with values of a run laid over them are not kept. Throws what the readers throw.
class SharedFiles {
 public:
  explicit SharedFiles(DataPaths paths) : paths_(std::move(paths)) {}

  const DataPaths& paths() const { return paths_; }
  /// A run file as it stands there, without overrides.
  const Node& run(const std::filesystem::path& file);
  ClusterSpec cluster(const std::string& name, const AskedBy& asked, const LaidOver& over);
  LibrarySpec library(const std::string& name, const AskedBy& asked, const LaidOver& over);
  GpuSpec gpu(const std::string& name, const AskedBy& asked, const LaidOver& over);
  const CsvTable& table(const std::filesystem::path& file);
  /// What is wrong with a model's name, image size and classes; mostly nothing.
  const std::vector<Fault>& model_faults(const ModelSpec& model);

 private:
  DataPaths paths_;
  MadeOnce<Node> runs_;
  MadeOnce<ClusterSpec> clusters_;
  MadeOnce<LibrarySpec> libraries_;
  MadeOnce<GpuSpec> gpus_;
  MadeOnce<CsvTable> tables_;
  MadeOnce<std::vector<Fault>> models_;
};

}  // namespace lockstep
