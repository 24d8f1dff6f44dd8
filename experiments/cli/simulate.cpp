#include <chrono>
#include <cstdio>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/output/report.hpp"
#include "experiments/prediction/predict.hpp"

namespace lockstep::cli {

namespace {

struct Options {
  RunOptions run;
  std::string output;
  bool force = false, json = false, explain = false, interval = true, curve = true;
};

void write_results(const SimulationReport& report, const std::filesystem::path& directory) {
  write_file(directory / "run.toml", write_run(report.inputs.run));
  write_file(directory / "result.json", to_json(report));
  std::string warnings;
  for (const std::string& warning : report.prediction.warnings) warnings += "warning: " + warning + "\n";
  write_file(directory / "report.txt", warnings + to_text(report));
  if (!report.curve.empty()) write_file(directory / "scaling.csv", curve_csv(report.curve));
  if (report.inputs.run.output.trace) write_file(directory / "trace.json", to_trace(report.prediction.timeline));
}

int simulate(const Context& context, const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  Inputs inputs = load(context, options.run);
  if (!options.output.empty()) inputs.run.output.directory = options.output;
  const std::filesystem::path directory = inputs.run.output.directory;
  if (!directory.empty()) claim_directory(directory, options.force);

  SimulationReport report = predict_report(std::move(inputs), options.run.file, {context.data},
                                           {options.curve, options.interval, options.explain}, progress_line(context));
  for (const auto& warning : report.prediction.warnings) fmt::print(stderr, "warning: {}\n", warning);
  report.wall = Time::seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());

  if (interrupted()) {
    fmt::print(stderr, "interrupted: nothing written\n");
    return kInterrupted;
  }
  if (!directory.empty()) write_results(report, directory);
  std::fputs((options.json ? to_json(report) : to_text(report)).c_str(), stdout);
  if (!directory.empty() && !options.json) {
    fmt::print("\nwritten to {}: run.toml, result.json, report.txt{}{}\n", directory.string(),
               report.curve.empty() ? "" : ", scaling.csv",
               report.inputs.run.output.trace ? ", trace.json (open it at ui.perfetto.dev)" : "");
  }
  return kDone;
}

}  // namespace

CLI::App* add_simulate(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("simulate", "Predict a run: step, throughput, efficiency, time to train");
  add_run_options(*command, options->run);
  command->add_option("--output", options->output, "Result directory (empty or new; see --force)");
  command->add_flag("--force", options->force, "Overwrite the files of a filled result directory");
  command->add_flag("--json", options->json, "Print JSON instead of the page");
  command->add_flag("--explain", options->explain,
                    "Show what each modelled effect adds to the step (one simulation per effect)");
  command->add_flag("!--no-interval", options->interval,
                    "Skip the prediction interval (2 simulations per banded parameter)");
  command->add_flag("!--no-curve", options->curve, "Skip the scaling curve of output.curve");
  command->footer(
      "Examples:\n"
      "  lockstep simulate experiments/fujitsu_abci_2048/run.toml\n"
      "  lockstep simulate RUN.toml --set allreduce.across=ring --set cluster.gpus=512 --set "
      "training.global_batch=20480\n"
      "  lockstep simulate RUN.toml --explain --no-interval --no-curve\n"
      "  lockstep simulate RUN.toml --set 'simulation.slow_ranks=[{rank=7, factor=1.3}]' --no-interval --json");
  command->callback([&context, options, &run] { run = [&context, options] { return simulate(context, *options); }; });
  return command;
}

}  // namespace lockstep::cli
