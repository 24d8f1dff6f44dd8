// One training step of all ranks as discrete events.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/plan/step_program.hpp"
#include "core/run/timeline.hpp"
#include "sim/contention.hpp"
#include "sim/network/collective_engine.hpp"

namespace lockstep::sim {

struct BucketReport;

/// A bucket's collective with what surrounds it on the GPU.
struct CollectiveChoice {
  std::shared_ptr<const CollectivePlan> plan;
  int protocol = 0;
  Time pack;        ///< into the bucket buffer before, out of it after
  KernelLoad load;  ///< what its kernels take from the computation beside it
  /// How long it takes a rank whose gradients were complete at `full` and whose lane was free for it from `free` on, both since its step's start. Then nothing
  /// is sent. Of all buckets of a step or of none.
  std::function<Time(Time full, Time free)> known;
};

/// The next time that the library looks for complete buckets: multiples of `cycle` since a step's start; at once if it is zero.
Time next_tick(Time since_start, Time cycle);

/// Nominal lengths of one rank's operations.
struct RankDurations {
  std::vector<Time> of_op;  ///< by OpId; Allreduce entries are ignored
  Time input;               ///< to prepare the images of a step, pipelined ahead of it
};

struct StepInput {
  const StepProgram* program = nullptr;
  std::vector<CollectiveChoice> collectives;    ///< one per bucket
  std::vector<const RankDurations*> durations;  ///< by rank
  std::vector<double> factors;                  ///< by rank: compute time multiplier
  std::vector<Time>* starts = nullptr;          ///< by rank, updated to the ends; null = all start together
  std::int64_t step = 0;
  int in_flight = 1;             ///< collectives that a rank may have under way at once
  const GpuSpec* gpu = nullptr;  ///< whose multiprocessors and memory the loads are shares of; null = no contention
  /// Capacities of the links from `first_capacity` on, for this step and until told otherwise; null = unchanged.
  const std::vector<Bandwidth>* capacities = nullptr;
  std::size_t first_capacity = 0;
  std::shared_ptr<const Fold>
      fold;  ///< only the representatives are simulated, and stand for their classes; null = all ranks
};

struct StepOutcome {
  Time elapsed;                        ///< from the previous step's end on the slowest rank to this one's
  Breakdown parts;                     ///< mean over ranks; sums to `elapsed`
  std::vector<TimelineEvent> records;  ///< of the traced ranks, times relative to the first step's start
};

/// Compute lanes are piecewise linear (compute_lane.hpp): while a collective is under way on a rank, its forward and backward operations take longer by
/// slowdown(), so that later buckets are ready later. Updates, packing and unpacking are not slowed down. Communication lanes are events: a bucket becomes ready on a rank, waits for its turn (the lane runs
/// in program order), is packed, launched, and then moved message by message. Loading is pipelined: a step takes at least `input`.
class StepSimulation {
 public:
  StepSimulation(Fabric& fabric, const EngineSettings& settings, int world_size);
  ~StepSimulation();
  StepOutcome run(const StepInput& input);
  void trace(std::vector<char> ranks);

  std::vector<BucketReport> buckets() const;
  std::uint64_t digest() const;
  std::int64_t events() const;
  std::int64_t messages() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sim
