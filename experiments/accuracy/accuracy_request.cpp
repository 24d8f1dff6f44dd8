#include "experiments/accuracy/accuracy_request.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"

namespace lockstep {

namespace {

void check(const AccuracyRequest& r) {
  std::vector<Fault> faults;
  const auto known = accuracy_model_names();
  for (const std::string& name : r.series) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      faults.push_back({"--series", "", unknown_word(name, known)});
  }
  for (double b : r.batches) {
    if (!(b >= 1 && b <= 1e8) || b != std::floor(b))
      faults.push_back({"--batch", "", fmt::format("{:g}; expected a whole number of images, 1 to 1e8", b)});
  }
  if (!(r.epochs > 0 && r.epochs <= 1e4))
    faults.push_back({"--epochs", "", fmt::format("{:g}; expected more than 0, at most 10,000", r.epochs)});
  if (!faults.empty()) throw ConfigError(faults);
}

std::string range_of(const AccuracyModel& m, bool batches) {
  if (batches) return fmt::format("{} {:g} to {:g}", m.name, m.average.low_batch() / 2, 2 * m.average.high_batch());
  const auto [low, high] = m.lengths();
  return fmt::format("{} {:g} to {:g}", m.name, low, high);
}

std::string ranges(const std::vector<AccuracyModel>& models, bool batches) {
  std::string text;
  for (const auto& m : models) text += (text.empty() ? "" : ", ") + range_of(m, batches);
  return text;
}

/// A length at which no model predicts anything, and a batch that the user asked for by hand and that no model covers, are errors; a default batch is left out.
void refuse_what_nothing_covers(const AccuracyRequest& r, const std::vector<AccuracyModel>& models) {
  const auto long_enough = [&](const AccuracyModel& m) {
    const auto [low, high] = m.lengths();
    return r.epochs >= low && r.epochs <= high;
  };
  if (std::none_of(models.begin(), models.end(), long_enough))
    throw ConfigError(
        "--epochs", "",
        fmt::format("no fit covers runs of {:g} epochs; they cover: {}", r.epochs, ranges(models, false)));
  for (double b : r.batches) {
    if (std::any_of(models.begin(), models.end(), [&](const auto& m) { return m.predict(b, r.epochs).has_value(); }))
      continue;
    throw ConfigError("--batch", "",
                      fmt::format("no fit covers batch {:g} at {:g} epochs; they reach half and twice as far as their "
                                  "points: {}",
                                  b, r.epochs, ranges(models, true)));
  }
}

}  // namespace

std::vector<double> default_batches() { return {2048, 8192, 16384, 32768, 49152, 65536, 81920, 98304, 114688, 131072}; }

std::vector<AccuracyModel> requested_models(const AccuracyRequest& request, const PublishedAccuracy& published) {
  check(request);
  std::vector<AccuracyModel> models;
  for (const std::string& name : request.series.empty() ? accuracy_model_names() : request.series) {
    if (std::none_of(models.begin(), models.end(), [&](const auto& m) { return m.name == name; }))
      models.push_back(fit_published(name, published, true));
  }
  refuse_what_nothing_covers(request, models);
  return models;
}

}  // namespace lockstep
