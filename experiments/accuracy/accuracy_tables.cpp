#include "experiments/accuracy/accuracy_tables.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;

bool of_epochs(const AccuracyModel& m) { return m.quantity == AccuracyQuantity::EpochsToTarget; }
const char* quantity(const AccuracyModel& m) { return of_epochs(m) ? "epochs" : "top1_percent"; }

/// Residuals of logarithmic forms are relative: in percent. Those of top-1 are percentage points.
double shown(const AccuracyModel& m, double error) { return of_epochs(m) ? 100 * error : error; }
const char* unit(const AccuracyModel& m) { return of_epochs(m) ? "%" : "points"; }

std::string constants(const Fit& f) {
  std::string out;
  for (const auto& [name, value] : f.constants())
    out += fmt::format("{}{} = {:.5g}", out.empty() ? "" : ", ", name, value);
  return out;
}

std::string quoted(const std::string& cell) {
  std::string out = "\"";
  for (char c : cell) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string band(const std::optional<AccuracyPrediction>& p, int digits) {
  if (!p) return "";
  return fmt::format("{:.{}f} ({:.{}f} - {:.{}f}){}", p->figure.value, digits, p->figure.low, digits, p->figure.high,
                     digits, p->extrapolated ? " extrapolated" : "");
}

Json json_of(const std::optional<AccuracyPrediction>& p) {
  if (!p) return nullptr;
  return {
      {"value", p->figure.value}, {"low", p->figure.low}, {"high", p->figure.high}, {"extrapolated", p->extrapolated}};
}

}  // namespace

std::string accuracy_text(const std::vector<AccuracyModel>& models, const std::vector<double>& batches, double epochs,
                          const std::vector<TimedPoint>& timed) {
  std::string out;
  for (const AccuracyModel& m : models) {
    const Fit& used = m.used();
    out += fmt::format("{}: {}\n  recipe: {}\n  {} points, batch {:g} to {:g}{}\n", m.name, m.title, m.recipe,
                       used.points.size(), used.low_batch(), used.high_batch(),
                       m.assumed_epochs > 0
                           ? fmt::format("; {} of them do not state their epochs: taken as 90", m.assumed_epochs)
                           : "");
    out += fmt::format("  {} forms tried; used: the first, as the literature names it, whatever the others reach\n",
                       m.fits.size());
    out += fmt::format("    {:<34}{:>12}{:>16}{:>9}   constants\n", "form", "fit error", "leave-one-out", "AICc");
    for (const Fit& f : m.fits)
      out += fmt::format("    {:<34}{:>5.2f} {:<6}{:>9.2f} {:<6}{:>9}   {}\n", f.form.formula, shown(m, f.rms), unit(m),
                         shown(m, f.leave_one_out), unit(m),
                         std::isfinite(f.aicc) ? fmt::format("{:.1f}", f.aicc) : "-", constants(f));
    out += fmt::format("  {:>12}   {}\n", "batch",
                       of_epochs(m) ? "epochs (95 % band)          steps"
                                    : fmt::format("top-1 after {:g} epochs, % (95 % band)", epochs));
    for (double b : batches) {
      const auto p = m.predict(b, epochs);
      if (!p) {
        out += fmt::format("  {:>12.0f}   not predicted: outside what the points can tell\n", b);
        continue;
      }
      const std::string steps =
          of_epochs(m) ? fmt::format("   {:.0f} steps", std::ceil(p->figure.value * 1281167 / b)) : "";
      out += fmt::format("  {:>12.0f}   {}{}\n", b, band(p, of_epochs(m) ? 1 : 2), steps);
    }
    out += "\n";
  }
  if (!timed.empty()) {
    out += fmt::format(
        "simulated on {} GPUs\n  {:>12}{:>11}{:>16}   top-1, % (95 % band)                 time to target (band of the "
        "epochs)\n",
        timed.front().gpus, "batch", "step, ms", "time to train");
    for (const TimedPoint& t : timed)
      out += fmt::format("  {:>12.0f}{:>11.2f}{:>14.1f} s   {:<36} {}\n", t.batch, t.step_ms, t.time_to_train_s,
                         band(t.top1, 2),
                         t.time_to_target_s ? fmt::format("{:.1f} s ({:.1f} - {:.1f})", t.time_to_target_s->value,
                                                          t.time_to_target_s->low, t.time_to_target_s->high)
                                            : "");
    out += "\n";
  }
  return out + kTunedSgdCaveat + "\n";
}

std::string accuracy_json(const std::vector<AccuracyModel>& models, const std::vector<double>& batches, double epochs,
                          const std::vector<TimedPoint>& timed) {
  Json j;
  j["epochs"] = epochs;
  j["caveat"] = kTunedSgdCaveat;
  for (const AccuracyModel& m : models) {
    Json fits = Json::array(), predictions = Json::array();
    for (const Fit& f : m.fits) {
      Json c;
      for (const auto& [name, value] : f.constants()) c[name] = value;
      fits.push_back({{"form", f.form.formula},
                      {"constants", c},
                      {"fit_error", shown(m, f.rms)},
                      {"leave_one_out", shown(m, f.leave_one_out)},
                      {"aicc", f.aicc},
                      {"used", &f == &m.fits.front()}});
    }
    for (double b : batches) predictions.push_back({{"batch", b}, {"prediction", json_of(m.predict(b, epochs))}});
    j["series"].push_back({{"name", m.name},
                           {"title", m.title},
                           {"quantity", quantity(m)},
                           {"error_unit", unit(m)},
                           {"recipe", m.recipe},
                           {"points", m.used().points.size()},
                           {"low_batch", m.used().low_batch()},
                           {"high_batch", m.used().high_batch()},
                           {"forms_tried", m.fits.size()},
                           {"fits", fits},
                           {"predictions", predictions}});
  }
  for (const TimedPoint& t : timed) {
    Json row = {{"batch", t.batch},
                {"gpus", t.gpus},
                {"step_ms", t.step_ms},
                {"time_to_train_s", t.time_to_train_s},
                {"top1_percent", json_of(t.top1)},
                {"epochs_to_target", json_of(t.epochs)}};
    if (t.time_to_target_s)
      row["time_to_target_s"] = {
          {"value", t.time_to_target_s->value}, {"low", t.time_to_target_s->low}, {"high", t.time_to_target_s->high}};
    j["simulated"].push_back(row);
  }
  return j.dump(2) + "\n";
}

std::string points_csv(const PublishedAccuracy& published, const std::vector<AccuracyModel>& models) {
  std::string out = "quantity,series,fit,label,legend,model,optimizer,batch,epochs,value,sigma,confidence,note\n";
  const auto rows = [&](const std::vector<PublishedPoint>& points, const char* what) {
    for (const auto& p : points) {
      const bool shown_fit = std::any_of(models.begin(), models.end(), [&](const auto& m) { return m.name == p.fit; });
      const SeriesRecipe& recipe = published.recipe(p.series);
      out +=
          fmt::format("{},{},{},{},{},{},{},{:.0f},{},{:g},{:g},{},{}\n", what, p.series, shown_fit ? p.fit : "",
                      quoted(recipe.label), quoted(recipe.legend()), quoted(p.model), quoted(p.optimizer), p.batch,
                      p.epochs ? fmt::format("{:g}", *p.epochs) : "", p.value, p.sigma, p.confidence, quoted(p.note));
    }
  };
  rows(published.top1, "top1_percent");
  rows(published.epochs, "epochs");
  return out;
}

std::string fits_csv(const std::vector<AccuracyModel>& models) {
  std::string out =
      "series,title,quantity,form,used,forms_tried,points,fit_error,leave_one_out,error_unit,aicc,constants,recipe\n";
  for (const AccuracyModel& m : models) {
    for (const Fit& f : m.fits)
      out += fmt::format("{},{},{},{},{},{},{},{:.6g},{:.6g},{},{},{},{}\n", m.name, quoted(m.title), quantity(m),
                         quoted(f.form.formula), &f == &m.fits.front() ? "yes" : "no", m.fits.size(), f.points.size(),
                         shown(m, f.rms), shown(m, f.leave_one_out), unit(m),
                         std::isfinite(f.aicc) ? fmt::format("{:.4f}", f.aicc) : "", quoted(constants(f)),
                         quoted(m.recipe));
  }
  return out;
}

std::string left_out_csv(const std::vector<AccuracyModel>& models) {
  std::string out = "series,batch,epochs,published,predicted,low,high,inside\n";
  for (const AccuracyModel& m : models) {
    const Fit& f = m.used();
    for (std::size_t i = 0; i < f.points.size(); ++i) {
      const auto& p = f.points[i];
      const double predicted = of_epochs(m) ? p.value * std::exp(f.left_out[i]) : p.value + f.left_out[i];
      const auto& b = f.left_out_bands[i];
      out += fmt::format("{},{:.0f},{:g},{:g},{:.4f},{},{},{}\n", m.name, p.batch, p.epochs, p.value, predicted,
                         b ? fmt::format("{:.4f}", b->figure.low) : "", b ? fmt::format("{:.4f}", b->figure.high) : "",
                         !b                                                      ? "refused"
                         : p.value >= b->figure.low && p.value <= b->figure.high ? "yes"
                                                                                 : "no");
    }
  }
  return out;
}

std::string curves_csv(const std::vector<AccuracyModel>& models, double epochs) {
  constexpr int kPerDoubling = 16;
  std::string out = "series,quantity,batch,epochs,value,low,high,extrapolated\n";
  for (const AccuracyModel& m : models) {
    const double low = m.used().low_batch(), high = m.used().high_batch();
    std::vector<double> batches{low, high};  // the ends of the points, so that line and dashes meet there
    const int last = static_cast<int>(std::lround(std::log2(4 * high / low) * kPerDoubling));
    for (int i = 0; i <= last; ++i)
      batches.push_back(std::min(2 * high, low / 2 * std::exp2(i / double(kPerDoubling))));
    std::sort(batches.begin(), batches.end());
    const double length = of_epochs(m) ? epochs : std::clamp(epochs, m.used().low_epochs(), m.used().high_epochs());
    for (double b : batches) {
      const auto p = m.predict(b, length);
      if (!p) continue;
      out += fmt::format("{},{},{:.6g},{:g},{:.6g},{:.6g},{:.6g},{}\n", m.name, quantity(m), b,
                         of_epochs(m) ? p->figure.value : length, p->figure.value, p->figure.low, p->figure.high,
                         p->extrapolated ? "yes" : "no");
    }
  }
  return out;
}

std::string timed_csv(const std::vector<TimedPoint>& timed) {
  std::string out =
      "batch,gpus,step_ms,time_to_train_s,top1_percent,top1_low,top1_high,top1_extrapolated,epochs_to_target,"
      "time_to_target_s,time_to_target_low_s,time_to_target_high_s,target_extrapolated\n";
  for (const TimedPoint& t : timed) {
    const auto three = [](const std::optional<Figure>& f) {
      return f ? fmt::format("{:.4f},{:.4f},{:.4f}", f->value, f->low, f->high) : std::string(",,");
    };
    const auto yes = [](const std::optional<AccuracyPrediction>& p) {
      return !p ? "" : p->extrapolated ? "yes" : "no";
    };
    out += fmt::format("{:.0f},{},{:.4f},{:.3f},{},{},{},{},{}\n", t.batch, t.gpus, t.step_ms, t.time_to_train_s,
                       three(t.top1 ? std::optional(t.top1->figure) : std::nullopt), yes(t.top1),
                       t.epochs ? fmt::format("{:.3f}", t.epochs->figure.value) : "", three(t.time_to_target_s),
                       yes(t.epochs));
  }
  return out;
}

}  // namespace lockstep
