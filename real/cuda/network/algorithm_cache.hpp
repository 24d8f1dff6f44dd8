// Chosen convolution algorithms, by problem; as text. No CUDA.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::cuda {

/// One choice, in cuDNN's numbers.
struct AlgorithmChoice {
  int algorithm = 0;  ///< cudnnConvolution{Fwd,BwdData,BwdFilter}Algo_t
  int math = 0;       ///< cudnnMathType_t
  std::size_t workspace_bytes = 0;
  float milliseconds = -1;  ///< measured; -1: taken from cuDNN's heuristics
  bool operator==(const AlgorithmChoice&) const = default;
};

/// Choices by problem ("forward n256 c64 h56 ..."), of one library version on one kind of device. Not for several
/// threads at once.
class AlgorithmCache {
 public:
  /// `environment`: one line, see Handles::environment(); no line breaks.
  explicit AlgorithmCache(std::string environment) : environment_(std::move(environment)) {}

  std::optional<AlgorithmChoice> find(const std::string& problem) const;
  void insert(const std::string& problem, const AlgorithmChoice& choice) { choices_[problem] = choice; }
  std::size_t size() const { return choices_.size(); }

  /// "# lockstep algorithms: ENVIRONMENT", then per line: problem, tab, algorithm, math, workspace bytes, milliseconds
  /// (shortest text that reads back equal).
  std::string text() const;
  /// Takes over what text() of another wrote. False, and nothing taken, if it is of another environment or not such a
  /// text: choices are then made anew.
  bool merge(std::string_view text);

 private:
  std::string environment_;
  std::map<std::string, AlgorithmChoice> choices_;
};

}  // namespace lockstep::cuda
