#include "experiments/prediction/predict.hpp"

#include <memory>
#include <utility>

#include "experiments/accuracy/fitted_models.hpp"
#include "experiments/accuracy/run_accuracy.hpp"
#include "experiments/check/laid_over.hpp"
#include "experiments/check/rule.hpp"
#include "experiments/inputs/top1.hpp"
#include "experiments/validation/model_error.hpp"

namespace lockstep {

SimulationReport predict_report(Inputs inputs, const std::string& run_file, const DataPaths& paths,
                                PredictionParts parts, const Progress& progress) {
  SimulationReport report;
  report.inputs = std::move(inputs);
  report.run_file = run_file;
  std::shared_ptr<const FittedModels> models;  // one set of fits for the run's end and for the report
  if (accuracy_covered(report.inputs.run)) {
    models = std::make_shared<const FittedModels>(paths.data);
    report.inputs.top1 = top1_model(report.inputs.run, models);
  }
  bool on = true;
  const auto reached = [&](double fraction, const std::string& what) {
    on = on && (!progress || progress(fraction, what));
    return on;
  };
  const auto part = [&reached](double from, double to) {
    return [&reached, from, to](double f, const std::string& what) { return reached(from + f * (to - from), what); };
  };
  LoopHooks hooks;
  hooks.observer = [&](std::int64_t, Time) { return reached(0.05, "simulating the run"); };
  report.prediction = predict_run(report.inputs, hooks);
  for (std::string& doubt : check::machine_warnings(report.inputs))
    report.prediction.warnings.push_back(std::move(doubt));
  for (std::string& doubt : check::laid_over_warnings(report.inputs, paths))
    report.prediction.warnings.push_back(std::move(doubt));
  if (parts.curve && on) report.curve = predict_curve(report.inputs, report.inputs.run.output.curve, part(0.1, 0.25));
  // Planned already, so that neither ladder nor interval plans once more.
  const Inputs planned = with_plan_fixed(report.inputs, report.prediction.program);
  if (parts.explain && on) report.ladder = explain_step(planned, report.prediction.step, part(0.25, 0.4));
  if (parts.interval && on)
    report.interval =
        predict_interval(planned, report.prediction.step, read_model_error(paths, report.inputs), part(0.4, 1.0));
  if (models) report.accuracy = run_accuracy(report.inputs.run, *models);
  report.published = read_figures(paths.data, report.inputs.run.output.published);
  return report;
}

}  // namespace lockstep
