#include "experiments/inputs/read_inputs.hpp"

#include "core/base/error.hpp"
#include "experiments/inputs/top1.hpp"

namespace lockstep {

Inputs read_inputs(const std::filesystem::path& run_file, const std::vector<std::string>& sets,
                   const DataPaths& paths) {
  Inputs inputs;
  inputs.run = read_run(run_file, sets);
  const auto asked = [&](const std::string& key) { return AskedBy{place_of(run_file, sets, key), key}; };
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
  for (Fault& fault : faults) fault.where = place_of(run_file, sets, fault.key);
  if (!faults.empty()) throw ConfigError(std::move(faults));
  inputs.top1 = top1_model(inputs.run, paths.data);
  return inputs;
}

}  // namespace lockstep
