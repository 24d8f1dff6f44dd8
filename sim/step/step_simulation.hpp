// One training step of all ranks as discrete events.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/run/timeline.hpp"
#include "sim/network/collective_engine.hpp"
#include "sim/step/step_input.hpp"

namespace lockstep::sim {

struct StepOutcome {
  Time elapsed;                        ///< from the previous step's end on the slowest rank to this one's
  Breakdown parts;                     ///< mean over ranks; sums to `elapsed`
  std::vector<TimelineEvent> records;  ///< of the traced ranks, times relative to the first step's start
};

/// A bucket's allreduce over all ranks, for reports.
struct BucketReport {
  BucketId bucket;
  Bytes bytes;
  std::string algorithm, protocol;
  Time ready, begin, end;  ///< since a rank's own start of the step: mean over ranks (ready, begin), longest (end)
};

/// Compute lanes are piecewise linear (compute_lane.hpp): while a collective is under way on a rank, its forward and backward operations take longer by
/// slowdown(), so that later buckets are ready later. Updates, packing and unpacking are not slowed down. Communication lanes are events
/// (communication_lanes.hpp). Loading is pipelined: a step takes at least `input`.
class StepSimulation {
 public:
  StepSimulation(Fabric& fabric, const EngineSettings& settings, int world_size);
  ~StepSimulation();
  StepOutcome run(const StepInput& input);
  void trace(std::vector<char> ranks);

  const std::vector<BucketReport>& buckets() const;  ///< of the last step
  std::uint64_t digest() const;
  std::int64_t events() const;
  std::int64_t messages() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sim
