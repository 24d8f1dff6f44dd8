// What one step of all ranks is simulated from.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/plan/step_program.hpp"
#include "sim/network/fold.hpp"
#include "sim/step/contention.hpp"
#include "sim/step/lane_prefix.hpp"

namespace lockstep::sim {

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

  /// Who is simulated in the place of this rank.
  int stands_for(int rank) const { return fold ? fold->representative[static_cast<std::size_t>(rank)] : rank; }
};

}  // namespace lockstep::sim
