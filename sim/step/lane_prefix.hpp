// What a rank computes before its first update, laid out on its lane.
#pragma once

#include <vector>

#include "core/plan/step_program.hpp"
#include "sim/step/compute_lane.hpp"

namespace lockstep::sim {

/// Nominal lengths of one rank's operations.
struct RankDurations {
  std::vector<Time> of_op;  ///< by OpId; Allreduce entries are ignored
  Time input;               ///< to prepare the images of a step, pipelined ahead of it
};

/// Forward and backward operations one after the other, as positions on the lane: nominal time from the start of the rank's step.
struct LanePrefix {
  struct Run {
    OpKind kind;  ///< Forward or Backward, as long as it lasts
    Time begin, end;
  };
  LaneWork work;
  std::vector<Time> full;       ///< by bucket: when its gradients are complete
  std::vector<int> full_order;  ///< buckets by `full`
  std::vector<Run> runs;
};

/// O(operations + buckets log buckets).
LanePrefix lane_prefix(const StepProgram& program, const RankDurations& durations);

}  // namespace lockstep::sim
