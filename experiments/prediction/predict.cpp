#include "experiments/prediction/predict.hpp"

#include <utility>

#include "experiments/validation/model_error.hpp"

namespace lockstep {

SimulationReport predict_report(Inputs inputs, const std::string& run_file, const DataPaths& paths,
                                PredictionParts parts, const Progress& progress) {
  SimulationReport report;
  report.inputs = std::move(inputs);
  report.run_file = run_file;
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
  if (parts.curve && on) report.curve = predict_curve(report.inputs, report.inputs.run.output.curve, part(0.1, 0.4));
  if (parts.explain && on) report.ladder = explain_step(report.inputs, report.prediction.step, part(0.1, 0.4));
  if (parts.interval && on)
    report.interval =
        predict_interval(report.inputs, report.prediction.step, read_model_error(paths, report.inputs), part(0.4, 1.0));
  report.accuracy = run_accuracy(report.inputs.run, paths.data);
  report.published = read_figures(paths.data, report.inputs.run.output.published);
  return report;
}

}  // namespace lockstep
