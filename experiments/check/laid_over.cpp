#include "experiments/check/laid_over.hpp"

#include <algorithm>

#include "experiments/check/rule.hpp"

namespace lockstep::check {

namespace {

/// What a rule finds, and what tells that finding from others whatever its figures are.
struct Found {
  std::string rule_and_key, line;
};

template <class Subject>
void add(const char* section, std::span<const Rule<Subject>> rules, const Subject& subject, std::vector<Found>& all) {
  for (const Rule<Subject>& rule : rules) {
    for (const Doubt& doubt : rule.find(subject)) {
      const std::string key = std::string(section) + "." + doubt.key;
      all.push_back({std::string(rule.name) + " " + key, key + ": " + doubt.message});
    }
  }
}

std::vector<Found> found(const Inputs& inputs) {
  std::vector<Found> all;
  add("cluster_file", cluster_rules(), ClusterSubject{inputs.cluster, inputs.gpu}, all);
  add("gpu_file", gpu_rules(), inputs.gpu, all);
  add("library_file", library_rules(), inputs.library, all);
  return all;
}

}  // namespace

std::vector<std::string> laid_over_warnings(const Inputs& inputs, const DataPaths& paths) {
  const RunSpec& run = inputs.run;
  if (run.files.cluster.empty() && run.files.gpu.empty() && run.files.library.empty()) return {};
  Inputs plain = inputs;
  plain.cluster = read_cluster(run.cluster.file, paths);
  plain.library = read_library(run.allreduce.library, paths);
  const std::string& gpu = run.cluster.gpu.empty() ? plain.cluster.node.gpu : run.cluster.gpu;
  if (!gpu.empty()) plain.gpu = read_gpu(gpu, paths);
  const std::vector<Found> before = found(plain);
  std::vector<std::string> lines;
  for (const Found& now : found(inputs)) {
    const bool known =
        std::any_of(before.begin(), before.end(), [&](const Found& f) { return f.rule_and_key == now.rule_and_key; });
    if (!known) lines.push_back(now.line);
  }
  return lines;
}

}  // namespace lockstep::check
