// Files that many runs have in common: a sweep of 100,000 points reads each of them once.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/model/graph.hpp"
#include "experiments/accuracy/fitted_models.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/node.hpp"
#include "experiments/made_once.hpp"

namespace lockstep {

/// A model, or why there is none.
struct NamedModel {
  std::shared_ptr<const ModelGraph> graph;
  std::string wrong;  ///< empty if there is a graph
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
  /// The published accuracies with their fits. Read here, fitted when a run first asks.
  std::shared_ptr<const FittedModels> accuracy();
  /// The model of this name, image size and classes, or what is wrong with them.
  const NamedModel& model(const ModelSpec& model);

 private:
  DataPaths paths_;
  MadeOnce<Node> runs_;
  MadeOnce<ClusterSpec> clusters_;
  MadeOnce<LibrarySpec> libraries_;
  MadeOnce<GpuSpec> gpus_;
  MadeOnce<std::shared_ptr<const FittedModels>> accuracy_;
  MadeOnce<NamedModel> models_;
};

}  // namespace lockstep
