#include "experiments/cli/command.hpp"
#include "experiments/inputs/read_inputs.hpp"

namespace lockstep::cli {

void add_run_options(CLI::App& command, RunOptions& options) {
  command.add_option("run", options.file, "Run file (RUN.toml)")->required();
  command.add_option("--set", options.sets, "Override one value, for example --set cluster.gpus=1024; may be repeated")
      ->allow_extra_args(false);
}

Inputs load(const Context& context, const RunOptions& options) {
  return read_inputs(options.file, options.sets, {context.data});
}

}  // namespace lockstep::cli
