// `lockstep accuracy`: published, fitted and predicted accuracy against batch size.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/accuracy/noisy_quadratic.hpp"
#include "core/base/error.hpp"
#include "experiments/accuracy/accuracy_request.hpp"
#include "experiments/accuracy/accuracy_tables.hpp"
#include "experiments/accuracy/fitted_models.hpp"
#include "experiments/accuracy/run_accuracy.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/output/report.hpp"

namespace lockstep::cli {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  AccuracyRequest request;
  RunOptions run;
  std::string csv;
  bool json = false, force = false, mechanism = false;
};

/// The run at another batch. What is wrong with it then is the fault of --batch.
Inputs at_batch(Inputs inputs, std::int64_t batch) {
  inputs.run.training.global_batch = batch;
  inputs.run.output.trace = false;
  inputs.top1 = {};
  std::vector<Fault> faults = validate(inputs.run);
  if (faults.empty()) faults = validate(inputs);
  for (Fault& f : faults) f = {"--batch", "", f.key + ": " + f.message};
  if (!faults.empty()) throw ConfigError(faults);
  return inputs;
}

/// The run at each batch, on the same GPUs. Batches that were not asked for are left out where the run cannot take them.
std::vector<Inputs> runs_at(const Inputs& base, const std::vector<double>& batches, bool asked) {
  if (!accuracy_covered(base.run))
    throw ConfigError(
        "--run", "",
        "no fit covers this run; expected ResNet-50 for 1,000 classes on all of ImageNet at 224 x 224 and "
        "a constant batch");
  std::vector<Inputs> runs;
  for (const double batch : batches) {
    try {
      runs.push_back(at_batch(base, static_cast<std::int64_t>(batch)));
    } catch (const ConfigError&) {
      if (asked) throw;
    }
  }
  return runs;
}

/// Top-1 and time of each: after the figure of Yamazaki et al.
std::vector<TimedPoint> timed_points(const Context& context, std::vector<Inputs> runs) {
  const FittedModels models(context.data);
  const Progress progress = progress_line(context);
  std::vector<TimedPoint> out;
  for (std::size_t i = 0; i < runs.size() && !interrupted(); ++i) {
    const auto batch = static_cast<double>(runs[i].run.training.global_batch);
    progress(static_cast<double>(i) / static_cast<double>(runs.size()), fmt::format("batch {:g}", batch));
    SimulationReport report;
    report.accuracy = run_accuracy(runs[i].run, models);
    if (!report.accuracy.top1 && !report.accuracy.epochs) continue;  // its table says so
    report.prediction = predict_run(runs[i], {});
    report.inputs = std::move(runs[i]);
    out.push_back({batch, report.inputs.run.cluster.gpus, report.prediction.step.step.milliseconds(),
                   report.prediction.run.elapsed.seconds(), report.accuracy.top1, report.accuracy.epochs,
                   time_to_target(report)});
  }
  return out;
}

Json json_of(const BatchScaling& s) {
  Json points = Json::array();
  for (const auto& p : s.points)
    points.push_back({{"batch", p.batch}, {"steps", p.steps}, {"rate", p.rate}, {"at_grid_edge", p.at_edge}});
  return {{"critical_batch", s.critical_batch},
          {"least_steps", s.least_steps},
          {"trials_per_point", s.trials_per_point},
          {"points", points}};
}

int mechanism(bool json) {
  constexpr std::uint64_t kSeed = 42;
  const Mechanism m = batch_mechanism(layered_quadratic(), kSeed);
  if (json) {
    fmt::print("{}\n", Json{{"sgd", json_of(m.sgd)}, {"lars", json_of(m.lars)}}.dump(2));
    return kDone;
  }
  fmt::print(
      "noisy quadratic model (Zhang et al. 2019, arXiv:1907.04164): steps to 1 % of the first loss, best of {} "
      "constant rates at every batch\nfour layers of eight parameters, curvatures scale / i, scales 1, 1/4, 1/16, "
      "1/64; no "
      "momentum, no decay; seed {}, mean of 4 runs\na demonstration of the mechanism, not a prediction for any "
      "network\n\n{:>8}   {:<28}{}\n",
      m.sgd.trials_per_point, kSeed, "batch", "SGD: steps (rate)", "LARS: steps (rate)");
  const auto cell = [](const BatchScaling& s, double batch) -> std::string {
    for (const auto& p : s.points) {
      if (p.batch == batch)
        return fmt::format("{} ({:.4f}{})", p.steps, p.rate, p.at_edge ? ", at the edge of the grid" : "");
    }
    return "not reached";
  };
  for (int batch = 1; batch <= 16384; batch *= 2)
    fmt::print("{:>8}   {:<28}{}\n", batch, cell(m.sgd, batch), cell(m.lars, batch));
  for (const auto& [name, s] : {std::pair("SGD", &m.sgd), std::pair("LARS", &m.lars)})
    fmt::print("\n{:<5} steps = {:.0f} (1 + {:.0f} / batch): critical batch {:.0f}", name, s->least_steps,
               s->critical_batch, s->critical_batch);
  fmt::print("\n");
  return kDone;
}

int accuracy(const Context& context, const Options& o) {
  if (o.mechanism) return mechanism(o.json);
  const PublishedAccuracy published = read_published_accuracy(context.data);
  const std::vector<AccuracyModel> models = requested_models(o.request, published);
  const double epochs = o.request.epochs;
  const std::vector<double> batches = o.request.batches.empty() ? default_batches() : o.request.batches;
  std::vector<Inputs> runs;
  if (!o.run.file.empty()) runs = runs_at(load(context, o.run), batches, !o.request.batches.empty());
  if (!o.csv.empty()) claim_directory(o.csv, o.force);
  std::vector<TimedPoint> timed;
  if (!runs.empty()) timed = timed_points(context, std::move(runs));
  if (interrupted()) return kInterrupted;

  if (!o.csv.empty()) {
    const std::filesystem::path folder = o.csv;
    write_file(folder / "points.csv", points_csv(published, models));
    write_file(folder / "learning_curves.csv", learning_curves_csv(published));
    write_file(folder / "fits.csv", fits_csv(models));
    write_file(folder / "left_out.csv", left_out_csv(models));
    write_file(folder / "curves.csv", curves_csv(models, epochs));
    write_file(folder / "predictions.csv", predictions_csv(models, batches, epochs));
    if (!timed.empty()) write_file(folder / "timed.csv", timed_csv(timed));
  }
  std::fputs(
      (o.json ? accuracy_json(models, batches, epochs, timed) : accuracy_text(models, batches, epochs, timed)).c_str(),
      stdout);
  if (!o.csv.empty() && !o.json)
    fmt::print(
        "\nwritten to {}: points.csv, learning_curves.csv, fits.csv, left_out.csv, curves.csv, "
        "predictions.csv{}\nplot: python3 "
        "notebooks/lockstep_plots/accuracy.py {}; python3 notebooks/lockstep_plots/learning_curve.py {}\n",
        o.csv, timed.empty() ? "" : ", timed.csv", o.csv, o.csv);
  return kDone;
}

}  // namespace

CLI::App* add_accuracy(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "accuracy", "Top-1 and epochs to target against batch size: published points, fitted forms, predictions");
  command
      ->add_option("--series", options->request.series,
                   "Fits: lars_epochs, lars_tuned, lars_2017, sgd_untuned (default: all)")
      ->delimiter(',');
  command->add_option("--batch", options->request.batches, "Global batches to predict, as a list with commas")
      ->delimiter(',');
  command->add_option("--epochs", options->request.epochs, "Length of the predicted runs")->capture_default_str();
  CLI::Option* run_file = command->add_option("--run", options->run.file,
                                              "Also simulate this run at the batches: time to train and to target");
  command->add_option("--set", options->run.sets, "Override a key of the run file: path=value (repeatable)")
      ->needs(run_file);
  command->add_option("--csv", options->csv, "Directory for tables that the plot reads (empty or new; see --force)");
  command->add_flag("--force", options->force, "Overwrite the files of a filled directory");
  CLI::Option* mechanism_only =
      command->add_flag("--mechanism", options->mechanism,
                        "Instead: the noisy quadratic model, steps to a target against batch for SGD and LARS");
  for (CLI::Option* other : command->get_options()) {
    if (other != mechanism_only && other != command->get_help_ptr()) mechanism_only->excludes(other);
  }
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Examples:\n"
      "  lockstep accuracy\n"
      "  lockstep accuracy --series lars_epochs,lars_tuned --batch 32768,65536,81920\n"
      "  lockstep accuracy --run experiments/fujitsu_abci_2048/run.toml --batch 49152,65536,81920,98304,131072 --csv "
      "results/accuracy\n"
      "  python3 notebooks/lockstep_plots/accuracy.py results/accuracy\n"
      "  lockstep accuracy --mechanism");
  command->callback([&context, options, &run] { run = [&context, options] { return accuracy(context, *options); }; });
  return command;
}

}  // namespace lockstep::cli
