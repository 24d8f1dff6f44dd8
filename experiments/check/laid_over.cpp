#include "experiments/check/laid_over.hpp"

#include <algorithm>

#include "experiments/check/rule.hpp"

namespace lockstep::check {

namespace {

template <class Subject>
std::vector<std::string> found(const char* section, std::span<const Rule<Subject>> rules, const Subject& subject) {
  std::vector<std::string> lines;
  for (const Rule<Subject>& rule : rules) {
    for (const Doubt& doubt : rule.find(subject))
      lines.push_back(std::string(section) + "." + doubt.key + ": " + doubt.message);
  }
  return lines;
}

std::vector<std::string> found(const Inputs& inputs) {
  std::vector<std::string> lines = found("cluster_file", cluster_rules(), ClusterSubject{inputs.cluster, inputs.gpu});
  for (std::string& line : found("gpu_file", gpu_rules(), inputs.gpu)) lines.push_back(std::move(line));
  for (std::string& line : found("library_file", library_rules(), inputs.library)) lines.push_back(std::move(line));
  return lines;
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
  const std::vector<std::string> before = found(plain);
  std::vector<std::string> now = found(inputs);
  std::erase_if(now,
                [&](const std::string& line) { return std::find(before.begin(), before.end(), line) != before.end(); });
  return now;
}

}  // namespace lockstep::check
