// A value that remembers where it comes from.
#pragma once

#include <string>

namespace lockstep {

/// How far a source can be trusted: the primary source was read (or measured for this project), second hand, or recalled.
enum class Confidence { Read, Secondary, Memory };

/// A parameter with its uncertainty band and its source. `low <= value <= high`; without a band all three are equal.
template <class T>
struct Sourced {
  T value{};
  T low{};
  T high{};
  std::string source;
  Confidence confidence = Confidence::Read;

  Sourced() = default;
  explicit Sourced(T v, std::string from = "") : value(v), low(v), high(v), source(std::move(from)) {}
};

}  // namespace lockstep
