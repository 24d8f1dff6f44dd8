// What a file of trials says: which runs are compared at which batches, how their rates are chosen, and how often.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep {

/// How a series without a grid of its own takes its rate from the tuned series that `rates_of` names.
enum class RateRule {
  Same,   ///< the best rate of that series at the same batch
  Linear  ///< its best rate at its smallest batch, times batch / that batch (Goyal et al. 2017, arXiv:1706.02677, 2.1)
};

/// Runs that one line of a plot joins.
struct TrialSeries {
  std::string name;              ///< for legends; unique
  std::vector<std::string> set;  ///< path=value, laid over the run file
  std::vector<int> batches;      ///< global batches, rising
  std::vector<double> rates;     ///< grid of peak rates, rising; empty if `rates_of` is set
  std::string rates_of;          ///< name of a tuned series
  RateRule rule = RateRule::Same;

  std::string where;  ///< of its table, for faults
  bool tuned() const { return rates_of.empty(); }
};

struct TrialsSpec {
  std::uint64_t tuning_seed = 1;     ///< every rate of a grid is tried once, with this seed
  std::vector<std::uint64_t> seeds;  ///< fresh: the chosen rate is run once with each; none is the tuning seed
  /// Batches above it are made of micro-steps of this many images (training.accumulation). 0 = never.
  std::int64_t largest_micro_batch = 0;
  std::vector<TrialSeries> series;

  /// Of the name; nullptr if there is none.
  const TrialSeries* find(const std::string& name) const;
};

/// Reads
///     tuning_seed = 1
///     seeds = [11, 12, 13]
///     largest_micro_batch = 2048
///     [[series]]
///     name = "LARS"
///     set = ["optimizer.kind=lars"]
///     batches = [256, 2048]
///     rates = [4, 8, 16, 32]            # or: rates_of = "SGD, retuned" and rule = "linear" or "same"
/// Throws ConfigError with all faults, each with its place: also unequal tuning budgets (number of rates) or grid ratios
/// between tuned series, since their best results could not be compared.
TrialsSpec read_trials(const std::filesystem::path& path);

}  // namespace lockstep
