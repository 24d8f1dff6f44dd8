// Files that a test writes, reads, and forgets.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace lockstep {

/// A directory of its own for each test, removed at its end.
class Scratch {
 public:
  Scratch() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::path(testing::TempDir()) /
                 ("lockstep_" + std::to_string(getpid()) + "_" + info->test_suite_name() + "_" + info->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~Scratch() { std::filesystem::remove_all(directory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const auto path = directory_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  const std::filesystem::path& directory() const { return directory_; }

  /// One line per fault that `read` throws, with this directory cut off the places; empty if it throws none.
  template <class Read>
  std::vector<std::string> faults(Read&& read) const {
    std::vector<std::string> lines;
    try {
      read();
    } catch (const ConfigError& error) {
      const std::string prefix = directory_.string() + "/";
      for (const Fault& fault : error.faults()) {
        std::string line = fault.text();
        for (std::size_t at = line.find(prefix); at != std::string::npos; at = line.find(prefix))
          line.erase(at, prefix.size());
        lines.push_back(line);
      }
    }
    return lines;
  }

 private:
  std::filesystem::path directory_;
};

}  // namespace lockstep
