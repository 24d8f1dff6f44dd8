// The commands for real runs in a program that was built without a backend for real runs.
#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"

namespace lockstep::cli {

namespace {

CLI::App* add_missing(CLI::App& app, Run& run, const char* name) {
  CLI::App* command = app.add_subcommand(name, "For real runs (not built in: oneDNN was missing)");
  command->allow_extras();
  command->callback([&run] {
    run = []() -> int {
      throw ConfigError("lockstep", "",
                        "this program was built without a backend for real runs; install libdnnl-dev and build again");
    };
  });
  return command;
}

}  // namespace

CLI::App* add_train(CLI::App& app, const Context&, Run& run) { return add_missing(app, run, "train"); }
CLI::App* add_calibrate(CLI::App& app, const Context&, Run& run) { return add_missing(app, run, "calibrate"); }
CLI::App* add_compare(CLI::App& app, const Context&, Run& run) { return add_missing(app, run, "compare"); }

}  // namespace lockstep::cli
