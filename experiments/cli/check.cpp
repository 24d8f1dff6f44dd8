// `lockstep check`: faults first, then what is implausible, file by file.
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"
#include "experiments/check/check_file.hpp"
#include "experiments/check/links.hpp"
#include "experiments/check/report.hpp"
#include "experiments/check/topology_svg.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/output/report.hpp"

namespace lockstep::cli {

namespace {

using check::FileKind;
using check::FileReport;

struct Options {
  std::vector<std::string> files;
  std::string kind, svg;
  bool all = false, json = false, rules = false, links = false;
};

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
  const auto cables = check::cables_of(cluster);
  fmt::print("{}", options.json ? check::to_json(cables) : check::to_text(cluster, cables));
  return kDone;
}

int check_files(const Context& context, const Options& options) {
  if (options.rules) return print_rules();
  const DataPaths paths{context.data};
  if (options.links) return print_links(options, paths);
  const std::optional<FileKind> kind = check::asked_kind(options.kind);
  const bool draw = !options.svg.empty();
  if (draw && (options.all || options.files.size() != 1))
    throw ConfigError("--svg", "", "draws one cluster file; name exactly one");
  if (draw && std::filesystem::path(options.svg).extension() == ".toml")
    throw ConfigError("--svg", "",
                      "\"" + options.svg + "\" would be overwritten by a drawing; expected a name such as cluster.svg");
  std::vector<std::filesystem::path> files;
  for (const std::string& name : options.files) {
    const auto named = check::named_files(name, paths, draw && !kind ? FileKind::Cluster : kind);
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
    fmt::print("{}", check::to_json(reports));
  } else {
    for (const FileReport& r : reports) fmt::print("{}", check::to_text(r));
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
