#include "experiments/accuracy/accuracy_tables.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;

constexpr double kImages = kImageNetImages;
constexpr const char* kPredictionColumns = "series,quantity,batch,epochs,value,low,high,extrapolated\n";

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

struct CriticalBatch {
  double batch = 0, least_steps = 0;
};
/// Bc and Smin = E0 N / Bc of McCandlish's form.
CriticalBatch critical_batch(const AccuracyModel& m) {
  const double batch = m.first().shapes.front();
  return {batch, std::exp(m.first().linear.front()) * kImages / batch};
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

/// A line under kPredictionColumns; `epochs`: the length of the runs, empty where the value itself says it.
std::string prediction_line(const AccuracyModel& m, double batch, const std::string& epochs,
                            const std::optional<AccuracyPrediction>& p) {
  const std::string figures = p ? fmt::format("{:.6g},{:.6g},{:.6g},{}", p->figure.value, p->figure.low, p->figure.high,
                                              p->extrapolated ? "yes" : "no")
                                : ",,,";
  return fmt::format("{},{},{:.6g},{},{}\n", m.name, quantity(m), batch, epochs, figures);
}

struct LeftOut {
  AccuracyPoint point;
  double predicted = 0;
  std::optional<AccuracyPrediction> band;
};

/// Each point, and what the procedure says of it without it.
std::vector<LeftOut> left_out_of(const AccuracyModel& m) {
  std::vector<LeftOut> out;
  const FormAverage& a = m.average;
  for (std::size_t i = 0; i < a.left_out().size(); ++i) {
    const AccuracyPoint& p = a.points()[i];
    const double predicted = of_epochs(m) ? p.value * std::exp(a.left_out()[i]) : p.value + a.left_out()[i];
    out.push_back({p, predicted, a.left_out_bands()[i]});
  }
  return out;
}

}  // namespace

std::string accuracy_text(const std::vector<AccuracyModel>& models, const std::vector<double>& batches, double epochs,
                          const std::vector<TimedPoint>& timed) {
  std::string out;
  for (const AccuracyModel& m : models) {
    const FormAverage& average = m.average;
    out += fmt::format("{}: {}\n  recipe: {}\n  {} points, batch {:g} to {:g}{}\n", m.name, m.title, m.recipe,
                       average.points().size(), average.low_batch(), average.high_batch(),
                       m.assumed_epochs > 0
                           ? fmt::format("; {} of them do not state their epochs: taken as 90", m.assumed_epochs)
                           : "");
    out += fmt::format(
        "  {} forms tried; the prediction is their mean, weighted by AICc, so that none is chosen after seeing the "
        "points\n",
        m.average.fits().size());
    out += fmt::format("    {:<34}{:>8}{:>14}{:>17}{:>9}   constants\n", "form", "weight", "fit error", "leave-one-out",
                       "AICc");
    const auto row = [&](const std::string& form, const std::string& weight, double rms, double left_out,
                         const std::string& aicc, const std::string& values) {
      out += fmt::format("    {:<34}{:>8}{:>7.2f} {:<6}{:>10.2f} {:<6}{:>9}   {}\n", form, weight, shown(m, rms),
                         unit(m), shown(m, left_out), unit(m), aicc, values);
    };
    for (std::size_t i = 0; i < average.fits().size(); ++i) {
      const Fit& f = average.fits()[i];
      row(f.form.formula, average.weights()[i] > 0 ? fmt::format("{:.2f}", average.weights()[i]) : "-", f.rms,
          f.leave_one_out, std::isfinite(f.aicc) ? fmt::format("{:.1f}", f.aicc) : "-", constants(f));
    }
    row("the mean", "", average.rms(), average.leave_one_out(), "", "");
    for (const Fit& f : average.fits()) {
      if (f.form.blank && f.leave_one_out <= average.leave_one_out())
        out += "  a constant says as much of points left out: these points do not show what the batch costs\n";
    }
    if (of_epochs(m)) {
      const auto c = critical_batch(m);
      out +=
          fmt::format("  by the first form: critical batch {:.0f}, never under {:.0f} steps\n", c.batch, c.least_steps);
    }
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
          of_epochs(m) ? fmt::format("   {:.0f} steps", std::ceil(p->figure.value * kImages / b)) : "";
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
    for (std::size_t i = 0; i < m.average.fits().size(); ++i) {
      const Fit& f = m.average.fits()[i];
      Json c;
      for (const auto& [name, value] : f.constants()) c[name] = value;
      fits.push_back({{"form", f.form.formula},
                      {"constants", c},
                      {"fit_error", shown(m, f.rms)},
                      {"leave_one_out", shown(m, f.leave_one_out)},
                      {"aicc", std::isfinite(f.aicc) ? Json(f.aicc) : Json()},
                      {"weight", m.average.weights()[i]}});
    }
    for (double b : batches) predictions.push_back({{"batch", b}, {"prediction", json_of(m.predict(b, epochs))}});
    Json left_out = Json::array();
    for (const LeftOut& l : left_out_of(m))
      left_out.push_back({{"batch", l.point.batch},
                          {"epochs", of_epochs(m) ? Json() : Json(l.point.epochs)},
                          {"published", l.point.value},
                          {"predicted", l.predicted},
                          {"band", json_of(l.band)}});
    j["series"].push_back({{"name", m.name},
                           {"title", m.title},
                           {"quantity", quantity(m)},
                           {"error_unit", unit(m)},
                           {"recipe", m.recipe},
                           {"points", m.average.points().size()},
                           {"low_batch", m.average.low_batch()},
                           {"high_batch", m.average.high_batch()},
                           {"forms_tried", m.average.fits().size()},
                           {"fit_error", shown(m, m.average.rms())},
                           {"leave_one_out", shown(m, m.average.leave_one_out())},
                           {"fits", fits},
                           {"left_out", left_out},
                           {"predictions", predictions}});
    if (of_epochs(m)) {
      const CriticalBatch c = critical_batch(m);
      j["series"].back()["critical_batch"] = c.batch;
      j["series"].back()["least_steps"] = c.least_steps;
    }
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

std::string learning_curves_csv(const PublishedAccuracy& published) {
  std::string out = "series,label,legend,run,batch,warmup_epochs,epoch,top1_percent,seconds\n";
  for (const LearningPoint& p : published.learning) {
    const SeriesRecipe& recipe = published.recipe(p.series);
    const auto end = std::find_if(published.top1.begin(), published.top1.end(),
                                  [&](const auto& t) { return t.series == p.series && t.batch == p.batch; });
    const bool told = end != published.top1.end() && end->warmup_epochs;
    out += fmt::format("{},{},{},{},{:.0f},{},{:g},{:g},{:g}\n", p.series, quoted(recipe.label),
                       quoted(recipe.legend()), quoted(p.run), p.batch,
                       told ? fmt::format("{:g}", *end->warmup_epochs) : "", p.epoch, p.top1_percent, p.seconds);
  }
  return out;
}

std::string fits_csv(const std::vector<AccuracyModel>& models) {
  std::string out =
      "series,title,quantity,form,weight,forms_tried,points,fit_error,leave_one_out,error_unit,aicc,constants,"
      "critical_batch,least_steps,recipe\n";
  for (const AccuracyModel& m : models) {
    const FormAverage& a = m.average;
    const auto row = [&](const std::string& form, double weight, double rms, double left_out, const std::string& aicc,
                         const std::string& values) {
      const CriticalBatch c = of_epochs(m) ? critical_batch(m) : CriticalBatch{};
      out += fmt::format("{},{},{},{},{:.4f},{},{},{:.6g},{:.6g},{},{},{},{},{},{}\n", m.name, quoted(m.title),
                         quantity(m), quoted(form), weight, a.fits().size(), a.points().size(), shown(m, rms),
                         shown(m, left_out), unit(m), aicc, quoted(values),
                         of_epochs(m) ? fmt::format("{:.6g}", c.batch) : "",
                         of_epochs(m) ? fmt::format("{:.6g}", c.least_steps) : "", quoted(m.recipe));
    };
    for (std::size_t i = 0; i < a.fits().size(); ++i) {
      const Fit& f = a.fits()[i];
      row(f.form.formula, a.weights()[i], f.rms, f.leave_one_out,
          std::isfinite(f.aicc) ? fmt::format("{:.4f}", f.aicc) : "", constants(f));
    }
    row("mean", 1, a.rms(), a.leave_one_out(), "", "");
  }
  return out;
}

std::string left_out_csv(const std::vector<AccuracyModel>& models) {
  std::string out = "series,batch,epochs,published,predicted,low,high,inside\n";
  for (const AccuracyModel& m : models) {
    for (const LeftOut& l : left_out_of(m)) {
      const auto& b = l.band;
      const double v = l.point.value;
      out += fmt::format("{},{:.0f},{},{:g},{:.4f},{},{},{}\n", m.name, l.point.batch,
                         of_epochs(m) ? "" : fmt::format("{:g}", l.point.epochs), v, l.predicted,
                         b ? fmt::format("{:.4f}", b->figure.low) : "", b ? fmt::format("{:.4f}", b->figure.high) : "",
                         !b                                          ? "refused"
                         : v >= b->figure.low && v <= b->figure.high ? "yes"
                                                                     : "no");
    }
  }
  return out;
}

std::string curves_csv(const std::vector<AccuracyModel>& models, double epochs) {
  constexpr int kPerDoubling = 16;
  std::string out = kPredictionColumns;
  for (const AccuracyModel& m : models) {
    const double low = m.average.low_batch(), high = m.average.high_batch();
    std::vector<double> batches{low, high};  // the ends of the points, so that line and dashes meet there
    const int last = static_cast<int>(std::lround(std::log2(4 * high / low) * kPerDoubling));
    for (int i = 0; i <= last; ++i)
      batches.push_back(std::min(2 * high, low / 2 * std::exp2(i / double(kPerDoubling))));
    std::sort(batches.begin(), batches.end());
    const Fit& first = m.average.fits().front();
    const double length = of_epochs(m) ? epochs : std::clamp(epochs, first.low_epochs(), first.high_epochs());
    for (double b : batches) {
      const auto p = m.predict(b, length);
      if (!p) continue;
      out += prediction_line(m, b, fmt::format("{:g}", of_epochs(m) ? p->figure.value : length), p);
    }
  }
  return out;
}

std::string predictions_csv(const std::vector<AccuracyModel>& models, const std::vector<double>& batches,
                            double epochs) {
  std::string out = kPredictionColumns;
  for (const AccuracyModel& m : models) {
    const std::string length = of_epochs(m) ? "" : fmt::format("{:g}", epochs);
    for (double b : batches) out += prediction_line(m, b, length, m.predict(b, epochs));
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
