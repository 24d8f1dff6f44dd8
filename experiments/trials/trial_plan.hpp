// The trials of a file of trials: which run each is, which rate won, and the rows that are already there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/sweep/fingerprint.hpp"
#include "experiments/trials/trials_spec.hpp"

namespace lockstep {

/// What the user asked for.
struct TrialsRequest {
  std::filesystem::path run_file, trials_file;
  std::vector<std::string> sets;  ///< path=value, for every trial
  DataPaths paths;
};

enum class TrialStage {
  Tune,  ///< one rate of a grid, with the tuning seed
  Final  ///< the chosen rate, with a fresh seed
};

struct Trial {
  std::size_t index = 0;  ///< from 0: all of stage Tune, then all of Final, each in the order of the file
  TrialStage stage = TrialStage::Tune;
  std::size_t series = 0;
  int batch = 0;
  double rate = 0;  ///< 0 for Final trials until it is chosen
  std::uint64_t seed = 0;
  std::string edge;  ///< of Final: "low" or "high" where the rate came from the end of a grid, else empty
};

/// What came of a trial.
struct TrialOutcome {
  std::int64_t steps = 0;                    ///< done; of a diverged trial the step whose loss was no number
  std::optional<double> top1_percent, loss;  ///< after and of the last step; absent if it diverged
  bool diverged = false;
  double wall_s = 0;
  std::string error;  ///< the machine failed; such a trial is done again on resumption
};

/// All trials; their number does not depend on any result.
std::vector<Trial> all_trials(const TrialsSpec& spec);

/// The overrides of a trial: those of the request, of its series, and its own (batch, accumulation, rate, seed; one rank
/// of one thread; linear_scaling_base off, since `rate` is the peak).
std::vector<std::string> overrides_of(const TrialsRequest& request, const TrialsSpec& spec, const Trial& trial);

/// Inputs of a trial, checked. Faults of an override of the series point at the series in the file of trials.
Inputs read_trial(const TrialsRequest& request, const TrialsSpec& spec, const Trial& trial);

/// Outcome of a trial by its index.
using Outcomes = std::map<std::size_t, TrialOutcome>;

/// A trial that an earlier, unfinished execution has done, of this file of trials or of one with a smaller grid. Its index is that of the
/// earlier execution.
struct FinishedTrial {
  Trial trial;
  TrialOutcome outcome;
};
/// Of the same stage, series, batch and seed, whatever the rate.
bool same_place(const Trial& a, const Trial& b);
/// The outcomes of those `finished` that are among `trials`: of the same stage, series, batch, seed and rate. A Final trial whose rate is not
/// chosen yet, or is no longer the best one, has none. Pure.
Outcomes place(const std::vector<Trial>& trials, const std::vector<FinishedTrial>& finished);

/// The tuned rate of one series at one batch.
struct BestRate {
  double rate = 0;
  std::string edge;  ///< "low", "high", or empty; a grid of one rate has no edge
};
/// The rate with the highest top-1, at equality the lowest rate; if all diverged, the lowest rate with edge "low".
/// Nothing if an outcome is missing or is an error. Pure.
std::optional<BestRate> best_rate(const TrialsSpec& spec, const std::vector<Trial>& trials, const Outcomes& outcomes,
                                  std::size_t series, int batch);

/// Fills in `rate` and `edge` of those Final trials whose rate is known by now. Pure.
void choose_rates(const TrialsSpec& spec, std::vector<Trial>& trials, const Outcomes& outcomes);

}  // namespace lockstep
