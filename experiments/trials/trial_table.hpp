// trials.csv: one row per trial, and what it says in a page.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/sweep/results.hpp"
#include "experiments/trials/trial_plan.hpp"

namespace lockstep {

/// index, series, stage (tune, final), optimizer, batch, accumulation, rate, edge, warmup, warmup_epochs, epochs, decay,
/// weight_decay, label_smoothing, tuning_trials (that chose the rate), seed, steps, top1_percent, loss, diverged (yes,
/// no), wall_s, digest (of all that goes into the trial), error.
const std::vector<std::string>& trial_columns();

/// `run` is the effective one of the trial, `digest` that of its inputs.
SweepRow trial_row(const TrialsSpec& spec, const Trial& trial, const RunSpec& run, const std::string& digest,
                   const TrialOutcome& outcome);

/// Trials without an error in the file. A last line that was cut off is dropped. Throws ConfigError if there is no such
/// file, or a row is none of these trials: another series, batch, rate or seed, or other inputs (by their digest).
std::vector<FinishedTrial> finished_trials(const std::filesystem::path& path, const TrialsRequest& request,
                                           const TrialsSpec& spec, Fingerprints& prints);

/// Table of all series and batches: steps, rate, mean and standard deviation of top-1 over fresh seeds, diverged trials,
/// tuning trials; then what to doubt: optima at the edge of a grid, diverged trials, errors.
std::string trials_page(const TrialsSpec& spec, const std::vector<Trial>& trials, const Outcomes& outcomes);

}  // namespace lockstep
