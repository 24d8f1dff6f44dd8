#include "experiments/check/check_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/spec/words.hpp"
#include "experiments/check/accepted.hpp"
#include "experiments/check/rule.hpp"
#include "experiments/config_io/node.hpp"
#include "experiments/inputs/read_inputs.hpp"

namespace lockstep::check {

namespace {

struct KindRow {
  FileKind kind;
  const char* name;
  std::vector<std::string> keys;  ///< top-level keys that only this kind has
};

const std::vector<KindRow>& kinds() {
  static const std::vector<KindRow> rows = {
      {FileKind::Run,
       "run",
       {"model", "training", "optimizer", "schedule", "buckets", "allreduce", "cluster", "simulation", "effects",
        "data", "real", "setup", "output", "cluster_file", "gpu_file", "library_file"}},
      {FileKind::Cluster, "cluster", {"nodes", "node", "network"}},
      {FileKind::Gpu,
       "gpu",
       {"compute_capability", "fp32_peak", "half_peak", "memory", "memory_peak", "memory_achieved", "multiprocessors",
        "tail_waves", "kernel_gap", "anchor", "profile"}},
      {FileKind::Library,
       "library",
       {"protocols", "launch", "negotiate", "reduce", "staging_latency", "host_memory", "channels"}},
  };
  return rows;
}

/// The kind with most of its keys in the file. Throws ConfigError if none has any, or two have equally many.
FileKind recognise(const Node& root, const std::filesystem::path& file) {
  std::vector<std::pair<long, FileKind>> hits;
  for (const KindRow& row : kinds())
    hits.emplace_back(
        std::count_if(row.keys.begin(), row.keys.end(), [&](const auto& k) { return root.find(k) != nullptr; }),
        row.kind);
  std::stable_sort(hits.begin(), hits.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  if (hits[0].first == 0 || hits[0].first == hits[1].first) {
    throw ConfigError(
        file.string(), "",
        fmt::format("is it a run, cluster, GPU or library file? Its top-level keys ({}) do not tell; say --kind {}",
                    root.keys.empty() ? "none" : fmt::format("{}", fmt::join(root.keys, ", ")),
                    fmt::join(kind_names(), ", ")));
  }
  return hits[0].second;
}

/// A bare name such as "mine" would be looked up among the stems of the data folder.
std::string as_path(const std::filesystem::path& file) {
  const bool is_path = file.has_parent_path() || file.extension() == ".toml";
  return is_path ? file.string() : (std::filesystem::path(".") / file).string();
}

template <class Subject>
void apply(std::span<const Rule<Subject>> rules, const Subject& subject, const Node& root, FileReport& report) {
  for (const Rule<Subject>& rule : rules) {
    for (Doubt& doubt : rule.find(subject)) {
      const std::string where = node_at(root, doubt.key).where;
      report.findings.push_back({rule.name, {where, std::move(doubt.key), std::move(doubt.message)}, ""});
    }
  }
}

void judge(const std::string& path, const DataPaths& paths, const Node& root, FileReport& report) {
  switch (report.kind) {
    case FileKind::Run: return apply(run_rules(), read_inputs(path, {}, paths), root, report);
    case FileKind::Library: return apply(library_rules(), read_library(path, paths), root, report);
    case FileKind::Gpu: return apply(gpu_rules(), read_gpu(path, paths), root, report);
    case FileKind::Cluster: break;
  }
  ClusterSubject subject{read_cluster(path, paths), {}};
  subject.gpu = read_gpu(subject.cluster.node.gpu, paths, {node_at(root, "node.gpu").where, "node.gpu"});
  apply(cluster_rules(), subject, root, report);
}

void accept(const std::vector<Accepted>& comments, FileReport& report) {
  std::vector<std::string> names;
  for (const auto& [name, expects] : rules_of(report.kind)) names.push_back(name);
  for (const Accepted& comment : comments) {
    bool used = false;
    for (Finding& finding : report.findings) {
      if (finding.rule != comment.rule) continue;
      finding.reason = comment.reason;
      used = true;
    }
    if (used) continue;
    const bool known = std::find(names.begin(), names.end(), comment.rule) != names.end();
    report.findings.push_back({"comment",
                               {comment.where, "check " + comment.rule,
                                known ? "this comment accepts nothing: the rule finds nothing here (any more)"
                                      : unknown_word(comment.rule, names)},
                               ""});
  }
}

}  // namespace

std::string name_of(FileKind kind) {
  return std::find_if(kinds().begin(), kinds().end(), [&](const KindRow& row) { return row.kind == kind; })->name;
}

std::vector<std::string> kind_names() {
  std::vector<std::string> out;
  for (const KindRow& row : kinds()) out.emplace_back(row.name);
  return out;
}

std::optional<FileKind> kind_named(const std::string& name) {
  for (const KindRow& row : kinds()) {
    if (row.name == name) return row.kind;
  }
  return std::nullopt;
}

std::size_t FileReport::open() const {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.reason.empty(); }));
}

FileReport check_file(const std::filesystem::path& file, const DataPaths& paths, std::optional<FileKind> kind) {
  FileReport report;
  report.file = file;
  report.kind = kind.value_or(FileKind::Run);
  try {
    const std::string path = as_path(file);
    const Node root = parse_toml_file(path);
    if (!kind) report.kind = recognise(root, file);
    judge(path, paths, root, report);
    accept(accepted_in(path), report);
  } catch (const ConfigError& error) {
    report.faults = error.faults();
    report.findings.clear();
  }
  return report;
}

std::vector<std::filesystem::path> data_files(const DataPaths& paths) {
  std::vector<std::filesystem::path> out;
  for (const char* folder : {"clusters", "gpus", "libraries"}) {
    for (const std::string& stem : stems(paths, folder)) out.push_back(paths.data / folder / (stem + ".toml"));
  }
  if (out.empty())
    throw ConfigError(paths.data.string(), "--data",
                      "holds no cluster, GPU or library file; expected clusters/, gpus/, libraries/");
  return out;
}

std::vector<std::pair<std::string, std::string>> rules_of(FileKind kind) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto add = [&](const auto& rules) {
    for (const auto& rule : rules) out.emplace_back(rule.name, rule.expects);
  };
  switch (kind) {
    case FileKind::Run: add(run_rules()); break;
    case FileKind::Cluster: add(cluster_rules()); break;
    case FileKind::Gpu: add(gpu_rules()); break;
    case FileKind::Library: add(library_rules()); break;
  }
  return out;
}

}  // namespace lockstep::check
