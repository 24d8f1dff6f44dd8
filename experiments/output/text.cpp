#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/units_text.hpp"
#include "core/plan/planner.hpp"
#include "core/run/metrics.hpp"
#include "experiments/accuracy/accuracy_models.hpp"
#include "experiments/output/report.hpp"
#include "sim/device/input.hpp"

namespace lockstep {

namespace {

std::string bar(double share, int width) {
  const int full = static_cast<int>(std::lround(share * width));
  return std::string(static_cast<std::size_t>(std::max(0, full)), '#');
}

std::string thousands(double v) {
  std::string digits = fmt::format("{:.0f}", v);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

/// What of the input pipeline the step waits for.
std::string input_limit(const SimulationReport& r) {
  const RunSpec& run = r.inputs.run;
  const int node_gpus = std::min(run.cluster.gpus, r.inputs.cluster.node.gpus);
  const sim::InputTime t = sim::input_time(run.data, run.training.global_batch / run.cluster.gpus, node_gpus);
  const bool decodes = t.decoding > t.reading;
  return fmt::format("  the input limits the step: a node takes {:.2f} ms to {} (data.{})\n", t.longer().milliseconds(),
                     decodes ? "decode its images" : "read its images from storage",
                     decodes ? "decode_rate" : "storage_rate");
}

std::string plain(double value) { return value >= 1000 ? thousands(value) : fmt::format("{:g}", value); }
std::string duration(double seconds) { return to_text(Time::seconds(seconds)); }

/// The published value of a quantity in the same unit as the prediction, or "".
std::string published_of(const SimulationReport& r, const std::string& quantity, double predicted,
                         std::string (*shown)(double) = plain) {
  std::string text;
  for (const auto& p : r.published) {
    if (p.quantity != quantity || p.gpus != r.prediction.step.gpus) continue;
    text += fmt::format("{}published {} ({:+.1f} %, {})", text.empty() ? "" : "; ", shown(p.value),
                        100 * (predicted / p.value - 1), p.confidence);
  }
  return text;
}

}  // namespace

std::optional<Figure> time_to_target(const SimulationReport& r) {
  const TrainingResult& run = r.prediction.run;
  if (!r.accuracy.epochs || r.inputs.run.training.epochs <= 0) return std::nullopt;
  const double per_epoch = (run.stepping + run.evaluating).seconds() / r.inputs.run.training.epochs;
  const double set_up = (run.elapsed - run.stepping - run.evaluating).seconds();
  const Figure& e = r.accuracy.epochs->figure;
  return Figure{set_up + e.value * per_epoch, set_up + e.low * per_epoch, set_up + e.high * per_epoch};
}

std::string to_text(const SimulationReport& r) {
  const StepPrediction& step = r.prediction.step;
  const TrainingResult& run = r.prediction.run;
  std::string out;
  const auto line = [&](const std::string& label, const std::string& value, const std::string& published = "") {
    out += fmt::format("  {:<22}{:<31} {}\n", label, value, published);
  };
  out += fmt::format("{}: {} on {} GPUs, global batch {} ({} per GPU)\n", r.inputs.run.model.name,
                     r.prediction.info.backend, step.gpus, thousands(static_cast<double>(step.global_batch)),
                     step.global_batch / step.gpus);
  out += fmt::format("  {}\n", r.prediction.info.description);
  const auto changed = [&](const char* section, const std::vector<FileValue>& values) {
    for (const FileValue& v : values) out += fmt::format("  changed: {}.{} = {}\n", section, v.key, v.value);
  };
  changed("cluster_file", r.inputs.run.files.cluster);
  changed("gpu_file", r.inputs.run.files.gpu);
  changed("library_file", r.inputs.run.files.library);
  out += "\n";

  line("step time",
       r.interval ? fmt::format("{:.2f} ms (90 %: {:.1f} - {:.1f})", step.step.milliseconds(),
                                r.interval->low.milliseconds(), r.interval->high.milliseconds())
                  : fmt::format("{:.2f} ms", step.step.milliseconds()),
       published_of(r, "step_ms", step.step.milliseconds()));
  line("throughput", thousands(step.images_per_second) + " images/s",
       published_of(r, "images_per_s", step.images_per_second));
  for (const auto& point : r.curve) {
    if (point.prediction.gpus == step.gpus) {
      line("scaling efficiency", fmt::format("{:.1f} % of one GPU x {}", 100 * point.efficiency, step.gpus),
           published_of(r, "efficiency", 100 * point.efficiency));
    }
  }
  line("time to train",
       fmt::format("{} ({:g} epochs, {} steps)", to_text(run.elapsed), r.inputs.run.training.epochs,
                   thousands(static_cast<double>(run.steps))),
       published_of(r, "time_to_train_s", run.elapsed.seconds(), duration));
  line("  of which steps", to_text(run.stepping));
  line("  of which evaluation", to_text(run.evaluating));
  line("  of which set-up", to_text(run.elapsed - run.stepping - run.evaluating));
  if (run.top1)
    line("top-1", fmt::format("{:.1f} % ({:.1f} - {:.1f})", run.top1->value, run.top1->low, run.top1->high),
         published_of(r, "top1_percent", run.top1->value));
  if (const auto seconds = time_to_target(r)) {
    const auto& e = *r.accuracy.epochs;
    line(fmt::format("time to {:g} %", r.accuracy.target_percent),
         fmt::format("{} ({} - {})", to_text(Time::seconds(seconds->value)), to_text(Time::seconds(seconds->low)),
                     to_text(Time::seconds(seconds->high))),
         fmt::format("{:.0f} epochs ({:.0f} - {:.0f}){}", e.figure.value, e.figure.low, e.figure.high,
                     e.extrapolated ? ", extrapolated" : ""));
  }
  if (run.top1 || r.accuracy.epochs) {
    out += fmt::format("\naccuracy is predicted with 95 % bands{}; the constants belong to these recipes\n  {}\n  {}\n",
                       r.accuracy.top1 && r.accuracy.top1->extrapolated ? " (top-1 is extrapolated)" : "",
                       r.accuracy.recipe, kTunedSgdCaveat);
  }

  out += "\nwhere the step goes\n";
  const auto part = [&](const char* name, Time t) {
    const double share = step.step > Time::zero() ? t / step.step : 0;
    out += fmt::format("  {:<24}{:>8.2f} ms {:>6.1f} %  {}\n", name, t.milliseconds(), 100 * share, bar(share, 40));
  };
  part("forward", step.parts.forward);
  part("backward", step.parts.backward);
  part("exposed communication", step.parts.exposed);
  part("waiting for the slowest", step.parts.straggler);
  part("optimizer", step.parts.update);
  part("input", step.parts.input);
  if (step.parts.input > Time::zero()) out += input_limit(r);

  if (!r.ladder.empty()) {
    out += "\nwhat makes the step as long as it is: one effect more on every line\n";
    for (std::size_t i = 0; i < r.ladder.size(); ++i) {
      const Rung& rung = r.ladder[i];
      const std::string more = i == 0 ? "" : fmt::format("{:+.2f}", (rung.step - r.ladder[i - 1].step).milliseconds());
      out += fmt::format("  {:<36}{:>8} {:>9.2f} ms  {}\n", (i == 0 ? "" : "+ ") + rung.name, more,
                         rung.step.milliseconds(), bar(rung.step / step.step, 30));
    }
  }

  if (!step.buckets.empty()) {
    out +=
        "\ngradient buckets             size    algorithm          protocol   ready      start      end (ms into the "
        "step)\n";
    const std::size_t shown = step.buckets.size() > 12 ? 10 : step.buckets.size();
    for (std::size_t i = 0; i < shown; ++i) {
      const auto& b = step.buckets[i];
      out +=
          fmt::format("  {:<4}{:>27}    {:<18} {:<8}{:>8.2f}   {:>8.2f}   {:>8.2f}\n", b.bucket.value, to_text(b.bytes),
                      b.algorithm, b.protocol, b.ready.milliseconds(), b.begin.milliseconds(), b.end.milliseconds());
    }
    if (shown < step.buckets.size()) out += fmt::format("  ... and {} more\n", step.buckets.size() - shown);
  }

  if (!r.curve.empty()) {
    out += "\nweak scaling           step         images/s     efficiency\n";
    for (const auto& c : r.curve) {
      out += fmt::format("  {:>6} GPUs    {:>8.2f} ms   {:>12}      {:>6.1f} %  {}\n", c.prediction.gpus,
                         c.prediction.step.milliseconds(), thousands(c.prediction.images_per_second),
                         100 * c.efficiency, bar(c.efficiency, 30));
    }
  }
  if (r.interval && !r.interval->parameters.empty()) {
    out += "\nwhat the step is most sensitive to (step time at either end of the parameter's band)\n";
    for (std::size_t i = 0; i < std::min<std::size_t>(8, r.interval->parameters.size()); ++i) {
      const auto& s = r.interval->parameters[i];
      out += fmt::format("  {:<44}{:>8.2f} ms .. {:.2f} ms\n", s.parameter, s.at_low.milliseconds(),
                         s.at_high.milliseconds());
    }
  }
  out += fmt::format(
      "\n{} events, {} messages per simulated set of steps, digest {:016x}, {:.2f} s on this machine\nfold {}\n",
      thousands(static_cast<double>(step.events)), thousands(static_cast<double>(step.messages)), step.digest,
      r.wall.seconds(), step.folding);
  if (!r.published.empty()) {
    out += "\nsources of the published figures\n";
    for (const auto& p : r.published)
      out += fmt::format("  {:<18} {:g} on {} GPUs: {}{}\n", p.quantity, p.value, p.gpus, p.source,
                         p.note.empty() ? "" : "; " + p.note);
  }
  return out;
}

}  // namespace lockstep
