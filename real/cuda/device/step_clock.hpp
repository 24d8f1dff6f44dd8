// Where the device's time goes, on the host's scale.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/plan/step_program.hpp"
#include "core/run/timeline.hpp"
#include "real/cuda/base/stream.hpp"

namespace lockstep::cuda {

/// Marks in the compute stream of one step: at its begin, and wherever one part of a step ends. Marks may lie in a captured graph; the same
/// sequence of marks is then read after every launch.
class StepMarks {
 public:
  enum class Part { Begin, Forward, Backward, Wait, Update };
  /// Begins anew, in eager steps or before a capture.
  void clear() { used_ = 0; }
  /// The part that ends here. Events are made on first use.
  void mark(Part part, cudaStream_t stream);
  /// Lengths of the parts; Begin of a step that follows `before`'s last mark is its input time. All marks must have been reached.
  Breakdown parts(const StepMarks* before) const;
  bool empty() const { return used_ == 0; }
  const Event& first() const { return marks_.front().event; }
  const Event& last() const { return marks_[used_ - 1].event; }

 private:
  struct Mark {
    Part part = Part::Begin;
    Event event{true};
  };
  std::vector<Mark> marks_;
  std::size_t used_ = 0;
};

}  // namespace lockstep::cuda
