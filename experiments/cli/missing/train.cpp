// `lockstep train` in a program that was built without a backend for real runs.
#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"

namespace lockstep::cli {

CLI::App* add_train(CLI::App& app, const Context&, Run& run) {
  CLI::App* command = app.add_subcommand("train", "Train for real (not built in: oneDNN was missing)");
  command->allow_extras();
  command->callback([&run] {
    run = []() -> int {
      throw ConfigError("lockstep", "",
                        "this program was built without a backend for real runs; install libdnnl-dev and build again");
    };
  });
  return command;
}

}  // namespace lockstep::cli
