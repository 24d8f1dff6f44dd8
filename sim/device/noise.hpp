// Jitter and slow GPUs, seeded.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec/run_spec.hpp"

namespace lockstep::sim {

/// Relative compute speed of every rank at every step: time is multiplied by fixed(rank) * jitter(rank, step), both >= 0.5.
/// fixed = slow-rank factor x (1 + gpu_spread * z), where the z of all ranks are the expected order statistics of a normal sample in an order
/// drawn from the seed: the slowest of N GPUs is then as slow as expected, not as one draw has it, and a GPU alone is the anchor's.
/// jitter = 1 + step_jitter * normal; streams named by (seed, purpose, rank, step).
class Noise {
 public:
  Noise(std::uint64_t seed, int world_size, double gpu_spread, double step_jitter, const std::vector<SlowRank>& slow);
  double factor(int rank, std::int64_t step) const;
  bool varies_by_step() const;  ///< false: every step is alike
  bool silent() const;          ///< all factors are exactly 1
  /// Expected factor of the slowest rank of a step: the mean of max over ranks of fixed(rank) * jitter. O(ranks log ranks).
  double expected_slowest() const;
  double mean() const;  ///< over ranks and steps
  /// Factors of a typical step by rank, >= 0.5: those of step 0, stretched about their mean so that the slowest is as slow as expected_slowest().
  std::vector<double> typical() const;

 private:
  std::vector<double> fixed_;
  std::uint64_t seed_;
  double step_jitter_;
};

}  // namespace lockstep::sim
