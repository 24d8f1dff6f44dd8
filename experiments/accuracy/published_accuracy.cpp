#include "experiments/accuracy/published_accuracy.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/csv.hpp"

namespace lockstep {

namespace {

double in_range(const CsvTable& t, std::size_t row, const std::string& column, double most) {
  const double v = t.number(row, column);
  if (!(v > 0 && v <= most))
    throw ConfigError(t.where(row, column), column,
                      fmt::format("{:g}; expected a number above 0, at most {:g}", v, most));
  return v;
}

constexpr double kLargestBatch = 1e8;

PublishedPoint common(const CsvTable& t, std::size_t r) {
  PublishedPoint p;
  p.series = t.text(r, "series");
  p.fit = t.text(r, "fit");
  p.batch = in_range(t, r, "batch", kLargestBatch);
  p.sigma = t.number_if_any(r, "sigma").value_or(0);
  if (p.sigma < 0)
    throw ConfigError(t.where(r, "sigma"), "sigma", "negative; expected a standard deviation or nothing");
  p.warmup_epochs = t.number_if_any(r, "warmup_epochs");
  if (p.warmup_epochs.value_or(0) < 0)
    throw ConfigError(t.where(r, "warmup_epochs"), "warmup_epochs", "negative; expected epochs or nothing");
  p.where = t.where(r);
  p.source = t.text(r, "source");
  p.confidence = t.text(r, "confidence");
  p.note = t.text(r, "note");
  return p;
}

}  // namespace

std::vector<std::string> epochs_fits() { return {"lars_epochs"}; }
std::vector<std::string> top1_fits() { return {"lars_tuned", "lars_2017", "sgd_untuned"}; }

std::string SeriesRecipe::legend() const {
  return fmt::format("{}: {}; schedule: {}; smoothing {}; decay {}; trials per point: {}; seeds: {}", label, optimizer,
                     schedule, smoothing, decay, trials, seeds);
}

const SeriesRecipe& PublishedAccuracy::recipe(const std::string& series) const {
  const auto it =
      std::find_if(recipes.begin(), recipes.end(), [&](const SeriesRecipe& r) { return r.series == series; });
  if (it == recipes.end())
    throw ConfigError("published/recipes.csv", "series",
                      "there is no series \"" + series + "\", whose recipe a fit names");
  return *it;
}

PublishedAccuracy read_published_accuracy(const std::filesystem::path& data) {
  const std::filesystem::path folder = data / "published";
  PublishedAccuracy out;
  const CsvTable recipes = read_csv(
      folder / "recipes.csv", {"series", "label", "optimizer", "schedule", "smoothing", "decay", "trials", "seeds"});
  std::vector<std::string> names;
  for (std::size_t r = 0; r < recipes.rows(); ++r) {
    const auto cell = [&](const char* column) { return recipes.text(r, column); };
    out.recipes.push_back({cell("series"), cell("label"), cell("optimizer"), cell("schedule"), cell("smoothing"),
                           cell("decay"), cell("trials"), cell("seeds")});
    names.push_back(cell("series"));
  }
  const auto known = [&](const CsvTable& t, std::size_t r) {
    if (std::find(names.begin(), names.end(), t.text(r, "series")) != names.end()) return;
    const std::string near = nearest(t.text(r, "series"), names);
    throw ConfigError(t.where(r, "series"), "series",
                      fmt::format("recipes.csv has no series \"{}\"{}", t.text(r, "series"),
                                  near.empty() ? "" : "; is \"" + near + "\" meant?"));
  };
  const auto may_enter = [](const CsvTable& t, std::size_t r, const std::vector<std::string>& fits) {
    if (t.text(r, "fit").empty() || std::find(fits.begin(), fits.end(), t.text(r, "fit")) != fits.end()) return;
    throw ConfigError(t.where(r, "fit"), "fit", unknown_word(t.text(r, "fit"), fits) + " or nothing");
  };
  constexpr double kMostEpochs = 1e4;
  const CsvTable top1 =
      read_csv(folder / "accuracy.csv", {"series", "fit", "model", "optimizer", "batch", "batch_last", "epochs",
                                         "top1_percent", "sigma", "warmup_epochs", "source", "confidence", "note"});
  for (std::size_t r = 0; r < top1.rows(); ++r) {
    known(top1, r);
    may_enter(top1, r, top1_fits());
    if (!top1.text(r, "batch_last").empty()) continue;
    PublishedPoint p = common(top1, r);
    p.model = top1.text(r, "model");
    p.optimizer = top1.text(r, "optimizer");
    if (!top1.text(r, "epochs").empty()) p.epochs = in_range(top1, r, "epochs", kMostEpochs);
    p.value = in_range(top1, r, "top1_percent", 100);
    out.top1.push_back(std::move(p));
  }
  const CsvTable epochs = read_csv(folder / "epochs_to_target.csv", {"series", "fit", "batch", "epochs", "sigma",
                                                                     "warmup_epochs", "source", "confidence", "note"});
  for (std::size_t r = 0; r < epochs.rows(); ++r) {
    known(epochs, r);
    may_enter(epochs, r, epochs_fits());
    PublishedPoint p = common(epochs, r);
    p.model = "ResNet-50 v1.5";
    p.optimizer = "LARS";
    p.value = in_range(epochs, r, "epochs", kMostEpochs);
    out.epochs.push_back(std::move(p));
  }
  const CsvTable learning = read_csv(folder / "learning_curve.csv", {"series", "run", "batch", "epoch", "top1_percent",
                                                                     "seconds", "source", "confidence"});
  for (std::size_t r = 0; r < learning.rows(); ++r) {
    known(learning, r);
    constexpr double kMostSeconds = 1e9;
    const LearningPoint p{learning.text(r, "series"),
                          learning.text(r, "run"),
                          in_range(learning, r, "batch", kLargestBatch),
                          in_range(learning, r, "epoch", kMostEpochs),
                          in_range(learning, r, "top1_percent", 100),
                          in_range(learning, r, "seconds", kMostSeconds),
                          learning.text(r, "source"),
                          learning.text(r, "confidence")};
    if (!out.learning.empty() && out.learning.back().series == p.series && out.learning.back().run == p.run) {
      const auto must_rise = [&](const char* column, double before, double now) {
        if (now <= before)
          throw ConfigError(learning.where(r, column), column,
                            fmt::format("{:g}; expected more than {:g}, as the row before says", now, before));
      };
      must_rise("epoch", out.learning.back().epoch, p.epoch);
      must_rise("seconds", out.learning.back().seconds, p.seconds);
    }
    out.learning.push_back(p);
  }
  return out;
}

}  // namespace lockstep
