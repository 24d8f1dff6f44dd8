// What every command shares: where data lies, overrides, progress, Ctrl-C.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "experiments/compose.hpp"

namespace lockstep::cli {

enum ExitCode { kDone = 0, kCheckFailed = 1, kInputWrong = 2, kMachineFailed = 3, kInterrupted = 130 };

/// Options that belong to the program, not to one command.
struct Context {
  std::filesystem::path data;  ///< directory with clusters/, gpus/, libraries/, published/
  bool quiet = false;          ///< no progress
};

/// Options of commands that read a run file.
struct RunOptions {
  std::string file;
  std::vector<std::string> sets;  ///< path=value
};
void add_run_options(CLI::App& command, RunOptions& options);

/// Reads the run file with its overrides, then the files that it names, and checks them together. All faults at once: ConfigError.
Inputs load(const Context& context, const RunOptions& options);

/// A progress line on stderr that appears once work has taken two seconds; false after Ctrl-C.
Progress progress_line(const Context& context);
/// True once the user has pressed Ctrl-C (or SIGTERM came); the first one asks politely, the second one kills.
bool interrupted();
void catch_interrupts();
/// For commands that have nothing to save: Ctrl-C ends the program at once, in the middle of a simulation too. Flush what has been printed.
void leave_when_interrupted();

/// Each adds its sub-command to `app`; `run` is called after parsing and returns the exit code.
using Run = std::function<int()>;
CLI::App* add_simulate(CLI::App& app, const Context& context, Run& run);
CLI::App* add_sweep(CLI::App& app, const Context& context, Run& run);
CLI::App* add_train(CLI::App& app, const Context& context, Run& run);
CLI::App* add_calibrate(CLI::App& app, const Context& context, Run& run);
CLI::App* add_compare(CLI::App& app, const Context& context, Run& run);
CLI::App* add_plan(CLI::App& app, const Context& context, Run& run);
CLI::App* add_collective(CLI::App& app, const Context& context, Run& run);
CLI::App* add_validate(CLI::App& app, const Context& context, Run& run);
CLI::App* add_accuracy(CLI::App& app, const Context& context, Run& run);
CLI::App* add_check(CLI::App& app, const Context& context, Run& run);
CLI::App* add_list(CLI::App& app, const Context& context, Run& run);
CLI::App* add_completion(CLI::App& app, const Context& context, Run& run);

}  // namespace lockstep::cli
