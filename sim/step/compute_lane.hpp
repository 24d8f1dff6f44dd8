// Progress of one rank's computation while its speed changes: piecewise linear, exact.
#pragma once

#include <vector>

#include "core/base/units.hpp"

namespace lockstep::sim {

/// By how much kernels take longer, each >= 1: those bound by arithmetic and those bound by memory.
struct Slowdown {
  double compute = 1, memory = 1;
  bool operator==(const Slowdown&) const = default;
};

/// What a compute lane does at full speed, as alternating stretches of arithmetic and memory traffic. A position is nominal time since its start.
class LaneWork {
 public:
  void add(Time length, bool memory_bound);  ///< at the end; length >= 0
  Time end() const { return stretches_.empty() ? Time::zero() : stretches_.back().end; }
  /// How long the work up to `position` takes under `s`. 0 <= position <= end(). O(log stretches).
  double picoseconds(Time position, Slowdown s) const;
  /// The inverse, to the nearest picosecond; end() for more than the whole.
  Time position(double picoseconds, Slowdown s) const;

 private:
  struct Stretch {
    Time begin, end, memory_before;  ///< memory_before: part of [0, begin) that is bound by memory
    bool memory_bound;
  };
  double at(const Stretch& stretch, Time position, Slowdown s) const;
  std::vector<Stretch> stretches_;
};

/// One rank's lane. Until the speed changes first, when(x) is start + x * factor, whatever else was asked.
class ComputeLane {
 public:
  /// `work` must outlive the lane. `factor`: how much slower than nominal this rank is, > 0.
  ComputeLane(const LaneWork& work, Time start, double factor);
  /// From `now` on, not before the last change, the rest runs under `s`. False: it does already, or nothing is left to run.
  bool change(Time now, Slowdown s);
  /// When the lane reaches `position`: exact for what has passed, and for the rest if nothing changes any more.
  Time when(Time position) const;

 private:
  struct Piece {
    Time at, position;
    Slowdown slowdown;
  };
  const LaneWork* work_;
  double factor_;
  Piece first_;
  std::vector<Piece> later_;  ///< increasing in both
};

}  // namespace lockstep::sim
