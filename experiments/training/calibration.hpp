// This machine as files that the simulator reads: data/gpus and data/clusters in the form of what was measured.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "experiments/training/training.hpp"

namespace lockstep {

/// Medians of the measured durations, by operation name, over all ranks and steps: what a layer takes when nothing disturbs it.
std::vector<std::pair<std::string, Time>> median_times(const Timeline& timeline);

/// The rows of a profile (data/gpus: `profile`): forward and backward of each layer, inference, and the whole update at the run's batch per rank.
std::string profile_csv(const Measurement& measurement);

/// A GPU file for one rank of this machine, naming `profile`, and a cluster file from the messages between two of its ranks.
std::string processor_toml(const Measurement& measurement, const DeviceRates& rates, const std::string& profile,
                           const std::string& source);
std::string host_toml(const std::vector<std::pair<Bytes, Time>>& messages, int ranks, const std::string& gpu,
                      const std::string& source);

/// One line of a comparison: mean time per step of an operation, measured and simulated.
struct ComparedOp {
  Lane lane = Lane::Compute;
  std::string name;
  Time measured, simulated;
};
/// By lane, then in the order of the simulated timeline; operations that only one of them has show zero for the other. Rank 0.
std::vector<ComparedOp> compare_timelines(const Timeline& measured, std::int64_t measured_steps,
                                          const Timeline& simulated, std::int64_t simulated_steps);

}  // namespace lockstep
