#include "experiments/accuracy/accuracy_request.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/config_io/words.hpp"

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
    if (!(b >= 1 && b <= 1e8)) faults.push_back({"--batch", "", fmt::format("{:g}; expected 1 to 1e8 images", b)});
  }
  if (!(r.epochs > 0 && r.epochs <= 1e4))
    faults.push_back({"--epochs", "", fmt::format("{:g}; expected more than 0, at most 10,000", r.epochs)});
  if (!faults.empty()) throw ConfigError(faults);
}

/// A batch that the user asked for by hand and that no model covers is an error; a default one is left out.
void refuse_what_nothing_covers(const AccuracyRequest& r, const std::vector<AccuracyModel>& models) {
  for (double b : r.batches) {
    if (std::any_of(models.begin(), models.end(), [&](const auto& m) { return m.predict(b, r.epochs).has_value(); }))
      continue;
    std::string ranges;
    for (const auto& m : models)
      ranges += fmt::format("{}{} {:g} to {:g}", ranges.empty() ? "" : ", ", m.name, m.average.low_batch() / 2,
                            2 * m.average.high_batch());
    throw ConfigError("--batch", "",
                      fmt::format("no fit covers batch {:g} at {:g} epochs; they reach half and twice as far as their "
                                  "points: {}",
                                  b, r.epochs, ranges));
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
