#include "experiments/accuracy/accuracy_models.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"

namespace lockstep {

namespace {

constexpr double kAssumedEpochs = 90;
constexpr double kFewestEpochs = 85, kMostEpochs = 100;

std::vector<AccuracyPoint> points_of(const std::vector<PublishedPoint>& rows, const std::string& fit, int& assumed) {
  std::vector<AccuracyPoint> out;
  for (const auto& r : rows) {
    if (r.fit != fit) continue;
    assumed += r.epochs ? 0 : 1;
    out.push_back({r.batch, r.epochs.value_or(kAssumedEpochs), r.value, r.sigma});
  }
  return out;
}

std::vector<Form> forms_of(const std::string& name, const PublishedAccuracy& published) {
  if (name == "lars_epochs") return epochs_forms();
  if (name == "lars_tuned")
    return effective_epochs_forms(fit_published("lars_epochs", published, false).first().shapes.front());
  if (name == "lars_2017") return effective_epochs_forms({});
  if (name == "sgd_untuned") return fixed_epochs_forms();
  throw ConfigError("--series", "", unknown_word(name, accuracy_model_names()));
}

}  // namespace

const char* const kTunedSgdCaveat =
    "SGD here means one recipe with the linear rule, not tuned per batch. Tuned SGD is not excluded: Nado et al. 2021 "
    "(arXiv:2102.06356) reach 75.9 % at batch 32,768 with Nesterov momentum within the step budget of LARS.";

std::vector<std::string> accuracy_model_names() {
  std::vector<std::string> names = epochs_fits();
  for (const std::string& name : top1_fits()) names.push_back(name);
  return names;
}

std::optional<AccuracyPrediction> AccuracyModel::predict(double batch, double epochs) const {
  if (!fixed_epochs) return average.predict(batch, epochs);
  if (!(epochs >= kFewestEpochs && epochs <= kMostEpochs)) return std::nullopt;
  return average.predict(batch, *fixed_epochs);
}

std::pair<double, double> AccuracyModel::lengths() const {
  if (quantity == AccuracyQuantity::EpochsToTarget) return {0, std::numeric_limits<double>::infinity()};
  if (fixed_epochs) return {kFewestEpochs, kMostEpochs};
  return {first().low_epochs() / 2, 2 * first().high_epochs()};
}

AccuracyModel fit_published(const std::string& name, const PublishedAccuracy& published, bool all) {
  const std::vector<Form> forms = forms_of(name, published);
  const bool to_target = name == "lars_epochs";
  int assumed = 0;
  const auto points = points_of(to_target ? published.epochs : published.top1, name, assumed);
  AccuracyModel m(fit_average(
      forms, points, std::string("published/") + (to_target ? "epochs_to_target" : "accuracy") + ".csv, fit " + name,
      all));
  m.name = name;
  if (to_target) {
    m.title = "epochs to 75.9 %, LARS, ResNet-50 v1.5";
    m.recipe = published.recipe("mlperf_rcp").legend();
    m.quantity = AccuracyQuantity::EpochsToTarget;
    m.target_percent = 75.9;
    return m;
  }
  m.assumed_epochs = assumed;
  if (name == "lars_tuned") {
    m.title = "top-1, tuned LARS, ResNet-50";
    m.recipe =
        "headline results of several teams, each with its own LARS recipe (label smoothing in part; trials and "
        "seeds mostly not stated), and " +
        published.recipe("fujitsu_mlperf06_final").legend();
  } else if (name == "lars_2017") {
    m.title = "top-1, LARS of 2017, ResNet-50 v1";
    m.recipe = published.recipe("lars2017_t4_maxaug").legend();
  } else {
    m.title = "top-1 after 90 epochs, SGD with the linear rule, ResNet-50";
    m.recipe = published.recipe("goyal2017_fig3_gradual_warmup").legend();
    m.fixed_epochs = kAssumedEpochs;
  }
  return m;
}

}  // namespace lockstep
