// `lockstep check`: faults first, then what is implausible, file by file.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "experiments/check/check_file.hpp"
#include "experiments/check/topology_svg.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/config_io/words.hpp"
#include "experiments/output/report.hpp"
#include "sim/network/fabric.hpp"

namespace lockstep::cli {

namespace {

using check::FileKind;
using check::FileReport;

struct Options {
  std::vector<std::string> files;
  std::string kind, svg;
  bool all = false, json = false, rules = false, links = false;
};

/// A path stays; a stem such as "abci" becomes every file of that name in the data folder, or that of `kind`.
std::vector<std::filesystem::path> named_files(const std::string& name, const DataPaths& paths,
                                               std::optional<FileKind> kind) {
  std::error_code code;
  const std::filesystem::path path = name;
  std::vector<std::filesystem::path> out;
  if (std::filesystem::is_regular_file(path, code) || path.has_parent_path() || path.extension() == ".toml")
    return {path};
  std::vector<std::string> known;
  for (const auto& [of, folder] : {std::pair(FileKind::Cluster, "clusters"), std::pair(FileKind::Gpu, "gpus"),
                                   std::pair(FileKind::Library, "libraries")}) {
    if (kind && *kind != of) continue;
    for (const std::string& stem : stems(paths, folder)) {
      known.push_back(stem);
      if (stem == name) out.push_back(paths.data / folder / (name + ".toml"));
    }
  }
  if (!out.empty()) return out;
  const std::string near = nearest(name, known);
  throw ConfigError(name, "",
                    fmt::format("no such file, and no file of that name in {}{}", paths.data.string(),
                                near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
}

void print_text(const FileReport& report) {
  if (report.faults.empty() && report.findings.empty()) {
    fmt::print("{}: {} file, nothing wrong\n", report.file.string(), check::name_of(report.kind));
    return;
  }
  for (const Fault& fault : report.faults) fmt::print("{}\n", fault.text());
  for (const auto& finding : report.findings) {
    const Fault& f = finding.fault;
    fmt::print("{}: {}: {}: {} [{}]\n", f.where, finding.reason.empty() ? "implausible" : "accepted", f.key, f.message,
               finding.rule);
    if (!finding.reason.empty()) fmt::print("    because: {}\n", finding.reason);
  }
}

nlohmann::ordered_json to_json(const FileReport& report) {
  nlohmann::ordered_json j = {{"file", report.file.string()}, {"kind", check::name_of(report.kind)}};
  j["faults"] = nlohmann::ordered_json::array();
  j["implausible"] = nlohmann::ordered_json::array();
  for (const Fault& f : report.faults)
    j["faults"].push_back({{"where", f.where}, {"key", f.key}, {"message", f.message}});
  for (const auto& finding : report.findings) {
    const Fault& f = finding.fault;
    j["implausible"].push_back({{"rule", finding.rule},
                                {"where", f.where},
                                {"key", f.key},
                                {"message", f.message},
                                {"accepted_because", finding.reason}});
  }
  return j;
}

int print_rules() {
  for (const std::string& kind : check::kind_names()) {
    fmt::print("{}\n", kind);
    for (const auto& [name, expects] : check::rules_of(*check::kind_named(kind)))
      fmt::print("  {:<15} {}\n", name, expects);
  }
  return kDone;
}

/// What simulation.slow_links and failed_links may name.
int print_links(const Options& options, const DataPaths& paths) {
  if (options.files.size() != 1)
    throw ConfigError("--links", "", "lists the links of one cluster file; name exactly one");
  const ClusterSpec cluster = read_cluster(options.files[0], paths);
  const int nodes = cluster.network.kind == NetworkKind::None ? 1 : cluster.nodes;
  const sim::Fabric fabric(cluster, nodes, sim::Routing::Static, 0);
  const auto& links = fabric.links();
  const std::size_t per_node = fabric.first_cable() / static_cast<std::size_t>(nodes);
  const auto line = [&](std::size_t i, const std::string& more) {
    fmt::print("  {:<24} {:>10}  {:>8}{}\n", sim::cable_name(links[i]), to_text(links[i].capacity),
               to_text(links[i].latency), more);
  };
  fmt::print("{}: a cable by its name (both directions), one direction with .up or .down, any text with *\n",
             cluster.name);
  fmt::print("inside a node ({})\n", nodes == 1 ? "node0 alone" : fmt::format("node0 to node{} alike", nodes - 1));
  for (std::size_t i = 0; i < per_node; i += 2) line(i, "");
  if (fabric.first_cable() == links.size()) return kDone;
  fmt::print("between switches\n");
  const auto tier_of = [&](std::size_t i) {  // "leaf" of "leaf12>fbb3.4"
    return links[i].name.substr(0, links[i].name.find_first_of("0123456789"));
  };
  for (std::size_t i = fabric.first_cable(); i < links.size();) {
    std::size_t end = i;
    while (end < links.size() && tier_of(end - end % 2) == tier_of(i)) end += 2;
    line(i, fmt::format("   to {}: {} cables", sim::cable_name(links[end - 2]), (end - i) / 2));
    i = end;
  }
  return kDone;
}

int check_files(const Context& context, const Options& options) {
  if (options.rules) return print_rules();
  const DataPaths paths{context.data};
  if (options.links) return print_links(options, paths);
  std::optional<FileKind> kind;
  if (!options.kind.empty()) {
    kind = check::kind_named(options.kind);
    if (!kind) throw ConfigError("--kind", "", unknown_word(options.kind, check::kind_names()));
  }
  const bool draw = !options.svg.empty();
  if (draw && (options.all || options.files.size() != 1))
    throw ConfigError("--svg", "", "draws one cluster file; name exactly one");
  if (draw && std::filesystem::path(options.svg).extension() == ".toml")
    throw ConfigError("--svg", "",
                      "\"" + options.svg + "\" would be overwritten by a drawing; expected a name such as cluster.svg");
  std::vector<std::filesystem::path> files;
  for (const std::string& name : options.files) {
    const auto named = named_files(name, paths, draw && !kind ? FileKind::Cluster : kind);
    files.insert(files.end(), named.begin(), named.end());
  }
  if (options.all) {
    const auto data = check::data_files(paths);
    files.insert(files.end(), data.begin(), data.end());
  }
  if (files.empty()) throw ConfigError("check", "FILE", "no file is named; expected one or more, or --all");

  std::vector<FileReport> reports;
  const Progress progress = progress_line(context);
  for (const auto& file : files) {
    if (!progress(static_cast<double>(reports.size()) / static_cast<double>(files.size()), file.string()) ||
        interrupted()) {
      fmt::print(stderr, "interrupted: nothing written\n");
      return kInterrupted;
    }
    reports.push_back(check::check_file(file, paths, kind));
  }

  std::size_t faults = 0, open = 0, accepted = 0;
  for (const FileReport& r : reports) {
    faults += r.faults.size();
    open += r.open();
    accepted += r.findings.size() - r.open();
  }
  if (options.json) {
    auto j = nlohmann::ordered_json::array();
    for (const FileReport& r : reports) j.push_back(to_json(r));
    fmt::print("{}\n", j.dump(2));
  } else {
    for (const FileReport& r : reports) print_text(r);
    if (reports.size() > 1)
      fmt::print("{} files: {} faults, {} implausible, {} accepted by a comment\n", reports.size(), faults, open,
                 accepted);
  }
  if (draw) {
    if (reports[0].kind != FileKind::Cluster)
      throw ConfigError(
          "--svg", "",
          "draws a cluster file; " + files[0].string() + " is a " + check::name_of(reports[0].kind) + " file");
    if (faults == 0) {
      write_file(options.svg, check::topology_svg(read_cluster(files[0].string(), paths)));
      if (!options.json) fmt::print("drawn to {}\n", options.svg);
    } else {
      fmt::print(stderr, "not drawn: {} has faults\n", files[0].string());
    }
  }
  return faults > 0 ? kInputWrong : open > 0 ? kCheckFailed : kDone;
}

}  // namespace

CLI::App* add_check(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("check", "What is wrong or implausible in run, cluster, GPU and library files");
  command->add_option("file", options->files, "Files, or stems of files in the data directory (abci)");
  command->add_option("--kind", options->kind, "run, cluster, gpu or library (default: told from the file's keys)");
  command->add_flag("--all", options->all, "Every cluster, GPU and library file of the data directory");
  command->add_option("--svg", options->svg, "Draw the topology of the one cluster file into this file");
  command->add_flag("--links", options->links,
                    "List the links of the one cluster file by the names that simulation.failed_links takes");
  command->add_flag("--rules", options->rules, "List what is expected of each kind of file");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Examples:\n"
      "  lockstep check RUN.toml my-cluster.toml\n"
      "  lockstep check abci --svg abci.svg\n"
      "  lockstep check abci --links\n"
      "  lockstep check --all\n"
      "A comment \"# check RULE: reason\" in a file accepts what that rule finds there.\n"
      "Exit codes: 0 nothing found, 1 something implausible, 2 faults, 130 interrupted.");
  command->callback(
      [&context, options, &run] { run = [&context, options] { return check_files(context, *options); }; });
  return command;
}

}  // namespace lockstep::cli
