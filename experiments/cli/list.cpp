#include <cstdio>

#include "experiments/cli/command.hpp"
#include "experiments/queries/listing.hpp"

namespace lockstep::cli {

namespace {

int list(const Context& context, const std::string& what, bool json) {
  const auto listings = list_choices(what, {context.data});
  std::fputs((json ? to_json(listings) : to_text(listings)).c_str(), stdout);
  return kDone;
}

}  // namespace

CLI::App* add_list(CLI::App& app, const Context& context, Run& run) {
  auto what = std::make_shared<std::string>("all");
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "list", "What there is to choose from: models, clusters, GPUs, libraries, and the keys and words of run files");
  command->add_option("what", *what, "all, models, clusters, gpus, libraries, keys or words")->capture_default_str();
  command->add_flag("--json", *json, "Print JSON");
  command->footer(
      "Examples:\n  lockstep list models\n  lockstep list keys            every key of a run file, with its default\n  "
      "lockstep list words");
  command->callback(
      [&context, what, json, &run] { run = [&context, what, json] { return list(context, *what, *json); }; });
  return command;
}

}  // namespace lockstep::cli
