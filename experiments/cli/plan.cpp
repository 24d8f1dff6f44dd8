#include <cstdio>

#include "experiments/cli/command.hpp"
#include "experiments/queries/costed_plan.hpp"

namespace lockstep::cli {

namespace {

struct Options {
  RunOptions run;
  bool json = false;
  bool simulate = false;
};

int plan(const Context& context, const Options& options) {
  leave_when_interrupted();
  const CostedPlan found = plan_and_cost(load(context, options.run), options.simulate, progress_line(context));
  std::fputs((options.json ? to_json(found) : to_text(found)).c_str(), stdout);
  return kDone;
}

}  // namespace

CLI::App* add_plan(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("plan", "Gradient buckets and allreduce schedules of a run, their cost, and the alternatives");
  add_run_options(*command, options->run);
  command->add_flag("--simulate", options->simulate,
                    "Cost by every message whatever the number of GPUs, not folded (slow for rings over many nodes)");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Examples:\n  lockstep plan experiments/fujitsu_abci_2048/run.toml\n  lockstep plan RUN.toml --set "
      "buckets.policy=ddp --set allreduce.algorithm=auto");
  command->callback([&context, options, &run] { run = [&context, options] { return plan(context, *options); }; });
  return command;
}

}  // namespace lockstep::cli
