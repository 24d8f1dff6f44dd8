// A digest of everything that a prediction depends on.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"

namespace lockstep {

/// Digests of runs that share files: each file is read once. Safe to call from several threads.
class Fingerprints {
 public:
  explicit Fingerprints(DataPaths paths) : paths_(std::move(paths)) {}

  /// 16 hexadecimal digits of the program's sources, the effective run without [output] (with what it lays over files), and the bytes of its cluster,
  /// GPU and library files, of the tables that those name, and of the published accuracies. Two runs with equal digests
  /// have equal predictions.
  std::string of(const Inputs& inputs);

 private:
  /// The bytes of a file and, one level deep, of the files beside it that its text values name.
  std::string file(const std::filesystem::path& path);

  DataPaths paths_;
  std::mutex guard_;
  std::map<std::string, std::string> known_;  ///< path -> digest
};

}  // namespace lockstep
