// `lockstep train`: the same run file, for real.
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "core/run/metrics.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/cli/job.hpp"
#include "experiments/cli/trials.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/output/report.hpp"
#include "experiments/output/train_log.hpp"
#include "experiments/training/training.hpp"

namespace lockstep::cli {

namespace {

struct Options {
  RunOptions run;
  std::string output;
  bool force = false, resume = false, json = false;
  std::string trials;
  std::size_t jobs = 0;
};

/// What people see while a run goes on: one line on stderr that is written over, and a line on stdout per evaluation.
class Narrator {
 public:
  Narrator(const Context& context, bool speaks) : quiet_(context.quiet), speaks_(speaks) {}

  void record(const LogRecord& r) {
    if (!speaks_) return;
    if (r.kind == LogRecord::Kind::Start) first_step_ = r.step;
    if (r.kind == LogRecord::Kind::Warning) {
      clear();
      fmt::print(stderr, "warning: {}\n", r.text);
    }
    if (r.kind == LogRecord::Kind::Steps) progress(r);
    if (r.kind == LogRecord::Kind::Evaluation) {
      clear();
      fmt::print("epoch {:>6.2f}  step {:>7}  {:>9}  loss {}  top-1 {}\n", r.epoch, r.step, to_text(r.now),
                 r.evaluation.loss ? fmt::format("{:.4f}", r.evaluation.loss->value) : "-",
                 r.evaluation.top1 ? fmt::format("{:.2f} %", r.evaluation.top1->value) : "-");
      std::fflush(stdout);
    }
  }
  void clear() const {
    if (speaks_ && isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);
  }

 private:
  void progress(const LogRecord& r) {
    stepping_ += r.result.elapsed;
    if (quiet_) return;
    const double done = static_cast<double>(r.step - first_step_), left = static_cast<double>(r.total_steps - r.step);
    const std::string loss = r.result.loss ? fmt::format("  loss {:.4f}", r.result.loss->value) : "";
    const std::string line = fmt::format(
        "[{:3.0f} %] epoch {:.2f}  step {}/{}{}  lr {:.4g}  {:.0f} images/s  {} left",
        100.0 * static_cast<double>(r.step) / static_cast<double>(r.total_steps), r.epoch, r.step, r.total_steps, loss,
        r.lr, images_per_second(r.result.images, r.result.elapsed), to_text(stepping_ * (left / done)));
    const bool terminal = isatty(STDERR_FILENO);
    fmt::print(stderr, "{}{}{}", terminal ? "\r\033[K" : "", line, terminal ? "" : "\n");
    std::fflush(stderr);
  }

  bool quiet_, speaks_;
  std::int64_t first_step_ = 0;
  Time stepping_;
};

std::string page(const TrainingReport& r) {
  const TrainingResult& t = r.result;
  std::string out = fmt::format("\n{}: {}\n", r.inputs.run.model.name, r.info.description);
  const auto line = [&](const std::string& label, const std::string& value) {
    out += fmt::format("  {:<22}{}\n", label, value);
  };
  line("time", fmt::format("{} ({} steps, {} evaluating)", to_text(t.elapsed), t.steps, to_text(t.evaluating)));
  if (t.steps > 0) {
    line("step", fmt::format("{:.2f} ms", t.stepping.milliseconds() / static_cast<double>(t.steps)));
    line("throughput", fmt::format("{:.0f} images/s", images_per_second(t.images, t.stepping)));
    const Breakdown& b = t.parts;
    line("where the step goes",
         fmt::format("input {:.2f}, forward {:.2f}, backward {:.2f}, exposed communication {:.2f}, "
                     "waiting for slower ranks {:.2f}, optimizer {:.2f} ms",
                     b.input.milliseconds(), b.forward.milliseconds(), b.backward.milliseconds(),
                     b.exposed.milliseconds(), b.straggler.milliseconds(), b.update.milliseconds()));
  }
  if (t.loss) line("loss of the last step", fmt::format("{:.4f}", t.loss->value));
  if (t.loss_scale > 0)
    line("loss scale", fmt::format("{:g} at the end; {} of {} steps skipped for gradients that were not finite",
                                   t.loss_scale, t.skipped, t.steps));
  if (t.top1) line("test accuracy", fmt::format("{:.2f} %", t.top1->value));
  return out;
}

int train_on_this_rank(const Context& context, const Options& options) {
  TrainingSession session({.run_file = options.run.file,
                           .sets = options.run.sets,
                           .data = context.data,
                           .output = options.output,
                           .force = options.force,
                           .resume = options.resume});
  const bool first = session.rank() == 0;
  Narrator narrator(context, first && !options.json);
  const TrainingReport report =
      session.run([&](const LogRecord& r) { narrator.record(r); }, [] { return !interrupted(); });
  narrator.clear();
  if (!first) return report.result.stopped ? kInterrupted : kDone;
  std::fputs((options.json ? to_json(report) : page(report)).c_str(), stdout);
  if (!options.json) fmt::print("  written to {}: {}\n", report.directory.string(), report.written);
  if (report.result.stopped) fmt::print(stderr, "stopped at step {}; go on with --resume\n", report.last_step);
  return report.result.stopped ? kInterrupted : kDone;
}

}  // namespace

CLI::App* add_train(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("train", "Train for real: alone, under mpirun, or under srun");
  add_run_options(*command, options->run);
  command->add_option(
      "--output", options->output,
      "Result directory for log, checkpoints, trace (default: output.directory, or results/NAME_train)");
  command->add_flag("--force", options->force, "Overwrite a filled result directory, its checkpoints too");
  command->add_flag("--resume", options->resume,
                    "Go on from the newest checkpoint of the result directory, or keep its finished trials");
  CLI::Option* json = command->add_flag("--json", options->json, "Print JSON instead of lines and a page");
  CLI::Option* sweep = command->add_option(
      "--sweep", options->trials,
      "File of trials (TRIALS.toml): runs many variants of RUN on this machine, one row of trials.csv each");
  sweep->excludes(json);
  command
      ->add_option("--jobs,-j", options->jobs, "With --sweep: trials at a time, one thread each (default: the cores)")
      ->check(CLI::Range(1, 4096))
      ->needs(sweep);
  command->footer(
      "Examples:\n"
      "  lockstep train experiments/fashion_mnist/run.toml\n"
      "  lockstep train RUN.toml --set training.epochs=2 --output results/quick\n"
      "  mpirun -n 4 lockstep train experiments/fashion_mnist/run.toml --resume\n"
      "  srun -n 16 -K1 --mpi=pmix lockstep train RUN.toml\n"
      "  lockstep train experiments/accuracy_vs_batch/run.toml --sweep experiments/accuracy_vs_batch/quick.toml\n"
      "Ctrl-C writes a checkpoint and ends; the second one ends at once.");
  command->callback([&context, options, &run] {
    run = [&context, options] {
      if (!options->trials.empty()) {
        return train_trials(context, {.run = options->run,
                                      .trials = options->trials,
                                      .output = options->output,
                                      .force = options->force,
                                      .resume = options->resume,
                                      .jobs = options->jobs});
      }
      return on_this_rank([&] { return train_on_this_rank(context, *options); });
    };
  });
  return command;
}

}  // namespace lockstep::cli
