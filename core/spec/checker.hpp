// Collects what is wrong with one file, part by part.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep {

class Checker {
 public:
  /// `file`: what stands in a fault for the place, which the reader of the file knows better: "run file".
  explicit Checker(std::string file) : file_(std::move(file)) {}

  /// A fault at the dotted `key` unless `good`. The message says what is wrong and what was expected.
  template <class... Args>
  void expect(bool good, const std::string& key, fmt::format_string<Args...> message, Args&&... args) {
    if (!good) faults.push_back({file_, key, fmt::format(message, std::forward<Args>(args)...)});
  }

  std::vector<Fault> faults;

 private:
  std::string file_;
};

}  // namespace lockstep
