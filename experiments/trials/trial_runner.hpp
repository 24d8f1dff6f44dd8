// Executes trials in parallel within the cores of this process, in two stages.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "experiments/sweep/results.hpp"
#include "experiments/trials/trial_plan.hpp"

namespace lockstep {

struct TrialsJob {
  std::size_t threads = 1;  ///< trials at a time; each computes on one thread
  /// Every row, in the calling thread: first those of `finished` as they are, then as trials finish, and again where `edge` or
  /// `tuning_trials` of a finished one changed. A later row replaces an earlier one of the same index.
  std::function<void(const SweepRow&)> finished;
  /// `fraction` of all trials, those under way included; false stops: trials under way are given up.
  std::function<bool(double fraction, std::size_t done)> progress;
};

/// Checks every run of the trials and the images that they read; nothing is trained. Throws ConfigError with all faults.
void check_trials(const TrialsRequest& request, const TrialsSpec& spec, const std::vector<Trial>& trials);

/// Runs those of `trials` that are not among `finished`, first all of stage Tune, then the Final ones with the rates that
/// won (filled in); `outcomes` gets the outcomes of all. A trial that diverges has that as its outcome; one that the machine fails
/// has an error and the others go on; Final trials whose rate an error hides are left out. Outcomes but for wall times
/// depend on the trial alone, not on threads. False if it was stopped.
bool run_trials(const TrialsRequest& request, const TrialsSpec& spec, std::vector<Trial>& trials,
                const std::vector<FinishedTrial>& finished, Outcomes& outcomes, const TrialsJob& job);

}  // namespace lockstep
