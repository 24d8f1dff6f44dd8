// `lockstep train RUN.toml --sweep TRIALS.toml`.
#pragma once

#include <string>

#include "experiments/cli/command.hpp"

namespace lockstep::cli {

struct TrialsOptions {
  RunOptions run;
  std::string trials, output;
  bool force = false, resume = false;
  std::size_t jobs = 0;  ///< trials at a time; 0 = the cores of this process
};

/// Exit code. Writes trials.csv as trials finish, and beside it run.toml, trials.toml and trials.json (program, command,
/// wall time).
int train_trials(const Context& context, const TrialsOptions& options);

}  // namespace lockstep::cli
