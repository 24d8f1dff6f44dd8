// What a collective's kernels take from the computation beside them.
#pragma once

#include "core/plan/collective.hpp"
#include "core/spec/gpu_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "sim/step/compute_lane.hpp"

namespace lockstep::sim {

/// Share of a GPU that one collective under way holds. Integers, so that adding and taking away leaves nothing behind.
struct KernelLoad {
  std::int64_t multiprocessors = 0;
  std::int64_t memory = 0;  ///< bytes per second
  KernelLoad& operator+=(const KernelLoad& o);
  KernelLoad& operator-=(const KernelLoad& o);
  bool none() const { return multiprocessors == 0 && memory == 0; }
};

/// The library's channels, but no more than two per ring that the node's cables give (NCCL uses every ring twice; recalled). A channel is one thread
/// block, which keeps a multiprocessor from the first message to the last, waiting included. Memory traffic:
/// `memory_per_byte` for each byte that a GPU sends, on average over `duration`, the collective's estimated time without contention. None on a device
/// without multiprocessors, or without a duration.
KernelLoad kernel_load(const CollectivePlan& plan, const LibrarySpec& library, const GpuSpec& gpu, Time duration);

/// Arithmetic slows down by the share of multiprocessors that is left, memory traffic by the share of the achieved bandwidth that is left; at
/// least a tenth of each is. How blocks of two kernels share one multiprocessor is not modelled: that a channel takes a whole one is the upper end.
Slowdown slowdown(const KernelLoad& load, const GpuSpec& gpu);

}  // namespace lockstep::sim
