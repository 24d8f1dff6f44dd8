// `lockstep calibrate` and `lockstep compare`: this machine as files, and simulated against real.
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/cli/job.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/output/report.hpp"
#include "experiments/training/calibration.hpp"

namespace lockstep::cli {

namespace {

namespace fs = std::filesystem;

struct Options {
  RunOptions run;
  std::string output, calibrated;
  std::int64_t steps = 50;
  double band = 15;  ///< percent
  bool force = false;
};

TrainingRequest request_of(const Context& context, const Options& options) {
  TrainingRequest request;
  request.run_file = options.run.file;
  request.sets = options.run.sets;
  request.data = context.data;
  request.writes = false;
  return request;
}

int calibrate(const Context& context, const Options& options) {
  TrainingSession session(request_of(context, options));
  const bool first = session.rank() == 0;
  const fs::path directory = options.output;
  if (first) claim_directory(directory, options.force);
  if (first && !context.quiet) fmt::print(stderr, "measuring {} steps ...\n", options.steps);
  const Measurement m = session.measure(options.steps, [] { return !interrupted(); });
  const auto messages = session.ping_pong();
  if (!first) return kDone;
  if (interrupted()) {
    fmt::print(stderr, "interrupted: nothing written\n");
    return kInterrupted;
  }
  const DeviceRates rates = session.rates();
  const std::string source = fmt::format("measured by lockstep {} calibrate", version());
  write_file(directory / "profile.csv", profile_csv(m));
  write_file(directory / "processor.toml", processor_toml(m, rates, "profile.csv", source));
  fmt::print("{}\n  matrix product {:.0f} GFLOP/s, copy {:.1f} GB/s{}; step {:.2f} ms over {} steps\n",
             m.info.description, rates.fp32.per_second() / 1e9, rates.memory.gigabytes_per_second(),
             m.inputs.run.training.device == DeviceKind::Cpu ? " (one thread)" : "",
             m.result.elapsed.milliseconds() / static_cast<double>(m.steps), m.steps);
  std::string sets = fmt::format("--set cluster.gpu={}/processor.toml", directory.string());
  if (!messages.empty()) {
    write_file(directory / "host.toml",
               host_toml(messages, m.inputs.cluster.node.gpus, (directory / "processor.toml").string(), source));
    fmt::print("  {:>10} {:>12} {:>10}\n", "message", "one way", "GB/s");
    for (const auto& [size, time] : messages)
      fmt::print("  {:>10} {:>12} {:>10.2f}\n", to_text(size), to_text(time),
                 static_cast<double>(size.count()) / time.seconds() / 1e9);
    sets = fmt::format("--set cluster.file={}/host.toml", directory.string());
  } else {
    fmt::print("  messages between ranks: not measured; start it as mpirun -n 2 lockstep calibrate ...\n");
  }
  fmt::print("  written to {}: profile.csv, processor.toml{}\n  lockstep simulate {} {}\n", directory.string(),
             messages.empty() ? "" : ", host.toml", options.run.file, sets);
  return kDone;
}

int compare(const Context& context, const Options& options) {
  Options adjusted = options;
  if (!options.calibrated.empty()) {
    const fs::path host = fs::path(options.calibrated) / "host.toml",
                   processor = fs::path(options.calibrated) / "processor.toml";
    if (!fs::exists(processor))
      throw ConfigError(options.calibrated, "--calibrated",
                        "holds no processor.toml; expected a directory that `lockstep calibrate` wrote");
    if (fs::exists(host)) adjusted.run.sets.push_back("cluster.file=" + host.string());
    adjusted.run.sets.push_back("cluster.gpu=" + processor.string());
  }
  TrainingSession session(request_of(context, adjusted));
  const bool first = session.rank() == 0;
  if (first && !options.output.empty()) claim_directory(options.output, options.force);
  if (first && !context.quiet) fmt::print(stderr, "running {} steps ...\n", options.steps);
  const Measurement m = session.measure(options.steps, [] { return !interrupted(); });
  if (!first) return kDone;
  if (interrupted()) return kInterrupted;

  Inputs inputs = m.inputs;
  inputs.run.output.trace_ranks = {0};
  const RunPrediction p = predict_run(inputs, {});
  std::int64_t simulated_steps = 0;
  std::int64_t last = -1;
  for (const TimelineEvent& e : p.timeline.events) {
    if (e.lane == Lane::Compute && e.step > last) {
      last = e.step;
      ++simulated_steps;
    }
  }
  const double real = m.result.elapsed.milliseconds() / static_cast<double>(m.steps),
               simulated = p.step.step.milliseconds();
  fmt::print("{}\nsimulated: {}\n\n", m.info.description, p.info.description);
  fmt::print("  {:<14}{:<34}{:>12}{:>12}{:>10}\n", "lane", "operation", "measured ms", "simulated", "off by");
  for (const ComparedOp& op :
       compare_timelines(m.timeline, m.steps, p.timeline, std::max<std::int64_t>(1, simulated_steps))) {
    const double a = op.measured.milliseconds(), b = op.simulated.milliseconds();
    fmt::print("  {:<14}{:<34}{:>12.3f}{:>12.3f}{:>10}\n", to_text(op.lane), op.name, a, b,
               a > 0 ? fmt::format("{:+.1f} %", 100 * (b / a - 1)) : "-");
  }
  const auto part = [&](const char* name, Time a, Time b) {
    fmt::print("  {:<48}{:>12.3f}{:>12.3f}\n", name, a.milliseconds(), b.milliseconds());
  };
  fmt::print("\n");
  part("input", m.result.parts.input, p.step.parts.input);
  part("forward", m.result.parts.forward, p.step.parts.forward);
  part("backward", m.result.parts.backward, p.step.parts.backward);
  part("exposed communication", m.result.parts.exposed, p.step.parts.exposed);
  part("waiting for slower ranks", m.result.parts.straggler, p.step.parts.straggler);
  part("optimizer", m.result.parts.update, p.step.parts.update);
  const double off = 100 * (simulated / real - 1);
  const bool inside = std::abs(off) <= options.band;
  fmt::print("  {:<48}{:>12.3f}{:>12.3f}{:>+9.1f} %  {} the band of {:g} %\n", "step", real, simulated, off,
             inside ? "inside" : "OUTSIDE", options.band);
  if (!options.output.empty()) {
    write_file(fs::path(options.output) / "measured.trace.json", to_trace(m.timeline));
    write_file(fs::path(options.output) / "simulated.trace.json", to_trace(p.timeline));
    fmt::print("  written to {}: measured.trace.json, simulated.trace.json (open them at ui.perfetto.dev)\n",
               options.output);
  }
  return inside ? kDone : kCheckFailed;
}

void add_common(CLI::App& command, Options& options) {
  add_run_options(command, options.run);
  command.add_option("--steps", options.steps, "Steps to measure, after five to warm up")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_flag("--force", options.force, "Overwrite the files of a filled directory");
}

}  // namespace

CLI::App* add_calibrate(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  options->output = "results/calibrated";
  CLI::App* command = app.add_subcommand("calibrate", "Measure this machine into files that the simulator reads");
  add_common(*command, *options);
  command->add_option("--output", options->output, "Directory for profile.csv, processor.toml, host.toml")
      ->capture_default_str();
  command->footer(
      "Times every operation of the run's model at its batch per rank, and messages between two ranks. Examples:\n"
      "  lockstep calibrate experiments/fashion_mnist/run.toml --set real.threads=1\n"
      "  mpirun -n 2 lockstep calibrate experiments/fashion_mnist/run.toml --set real.threads=1 --output results/two\n"
      "  lockstep simulate experiments/fashion_mnist/run.toml --set cluster.gpu=results/calibrated/processor.toml");
  command->callback([&context, options, &run] {
    run = [&context, options] { return on_this_rank([&] { return calibrate(context, *options); }); };
  });
  return command;
}

CLI::App* add_compare(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "compare", "Run some steps for real and simulate them: measured against simulated, per operation");
  add_common(*command, *options);
  command->add_option("--calibrated", options->calibrated,
                      "Directory that `lockstep calibrate` wrote (default: the files that the run file names)");
  command->add_option("--band", options->band, "Exit 1 if the step is off by more than this many percent")
      ->capture_default_str();
  command->add_option("--output", options->output, "Directory for both traces");
  command->footer(
      "Examples:\n"
      "  lockstep compare experiments/fashion_mnist/run.toml --set real.threads=1 --calibrated results/calibrated\n"
      "  mpirun -n 2 lockstep compare experiments/fashion_mnist/run.toml --set real.threads=1 --calibrated results/two "
      "--output results/compared");
  command->callback([&context, options, &run] {
    run = [&context, options] { return on_this_rank([&] { return compare(context, *options); }); };
  });
  return command;
}

}  // namespace lockstep::cli
