#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/output/top1.hpp"

namespace lockstep::cli {

void add_run_options(CLI::App& command, RunOptions& options) {
  command.add_option("run", options.file, "Run file (RUN.toml)")->required();
  command.add_option("--set", options.sets, "Override one value, for example --set cluster.gpus=1024; may be repeated")
      ->allow_extra_args(false);
}

Inputs load(const Context& context, const RunOptions& options) {
  const DataPaths paths{context.data};
  Inputs inputs;
  inputs.run = read_run(options.file, options.sets);
  const auto asked = [&](const std::string& key) { return AskedBy{place_of(options.file, options.sets, key), key}; };
  std::vector<Fault> faults;
  const auto attempt = [&](auto&& read) {
    try {
      read();
    } catch (const ConfigError& e) {
      faults.insert(faults.end(), e.faults().begin(), e.faults().end());
    }
  };
  attempt([&] { inputs.cluster = read_cluster(inputs.run.cluster.file, paths, asked("cluster.file")); });
  attempt([&] { inputs.library = read_library(inputs.run.allreduce.library, paths, asked("allreduce.library")); });
  if (faults.empty()) {
    attempt([&] {
      inputs.gpu = read_gpu(inputs.run.cluster.gpu.empty() ? inputs.cluster.node.gpu : inputs.run.cluster.gpu, paths,
                            asked("cluster.gpu"));
    });
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
  faults = validate(inputs);
  for (Fault& fault : faults) fault.where = place_of(options.file, options.sets, fault.key);
  if (!faults.empty()) throw ConfigError(std::move(faults));
  inputs.top1 = top1_model(inputs.run, context.data);
  return inputs;
}

}  // namespace lockstep::cli
