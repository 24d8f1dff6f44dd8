#include "experiments/accuracy/accuracy_models.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/config_io/words.hpp"

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

std::vector<Fit> fitted(std::vector<Form> forms, const std::vector<AccuracyPoint>& points, const std::string& name,
                        bool alternatives) {
  if (!alternatives) forms.resize(1);
  return fit_all(forms, points, "data/published, fit " + name);
}

}  // namespace

const char* const kTunedSgdCaveat =
    "SGD here means one recipe with the linear rule, not tuned per batch. Tuned SGD is not excluded: Nado et al. 2021 "
    "(arXiv:2102.06356) reach 75.9 % at batch 32,768 with Nesterov momentum within the step budget of LARS.";

std::vector<std::string> accuracy_model_names() { return {"lars_epochs", "lars_tuned", "lars_2017", "sgd_untuned"}; }

std::optional<AccuracyPrediction> AccuracyModel::predict(double batch, double epochs) const {
  if (!fixed_epochs) return used().predict(batch, epochs);
  if (!(epochs >= kFewestEpochs && epochs <= kMostEpochs)) return std::nullopt;
  return used().predict(batch, *fixed_epochs);
}

AccuracyModel fit_published(const std::string& name, const PublishedAccuracy& published, bool alternatives) {
  AccuracyModel m;
  m.name = name;
  if (name == "lars_epochs") {
    int ignored = 0;
    m.title = "epochs to 75.9 %, LARS, ResNet-50 v1.5";
    m.recipe = published.recipe("mlperf_rcp").legend();
    m.quantity = AccuracyQuantity::EpochsToTarget;
    m.target_percent = 75.9;
    m.fits = fitted(epochs_forms(), points_of(published.epochs, name, ignored), name, alternatives);
    return m;
  }
  const auto points = points_of(published.top1, name, m.assumed_epochs);
  if (name == "lars_tuned") {
    m.title = "top-1, tuned LARS, ResNet-50";
    m.recipe =
        "headline results of several teams, each with its own LARS recipe (label smoothing in part; trials and "
        "seeds mostly not stated), and " +
        published.recipe("fujitsu_mlperf06_final").legend();
    const double critical = fit_published("lars_epochs", published, false).used().shapes.front();
    m.fits = fitted(effective_epochs_forms(critical), points, name, alternatives);
  } else if (name == "lars_2017") {
    m.title = "top-1, LARS of 2017, ResNet-50 v1";
    m.recipe = published.recipe("lars2017_t4_maxaug").legend();
    m.fits = fitted(effective_epochs_forms({}), points, name, alternatives);
  } else if (name == "sgd_untuned") {
    m.title = "top-1 after 90 epochs, SGD with the linear rule, ResNet-50";
    m.recipe = published.recipe("goyal2017_fig3_gradual_warmup").legend();
    m.fixed_epochs = kAssumedEpochs;
    m.fits = fitted(fixed_epochs_forms(), points, name, alternatives);
  } else {
    throw ConfigError("--series", "", unknown_word(name, accuracy_model_names()));
  }
  return m;
}

RunAccuracy run_accuracy(const RunSpec& run, const std::filesystem::path& data) {
  constexpr std::int64_t kImageNet = 1281167;
  const bool covered = run.model.name == "resnet50" && run.model.classes == 0 &&
                       run.data.training_images == kImageNet && run.schedule.batches.empty();
  if (!covered) return {};
  const PublishedAccuracy published = read_published_accuracy(data);
  const double batch = static_cast<double>(run.training.global_batch), epochs = run.training.epochs;
  RunAccuracy out;
  if (run.optimizer.kind != OptimizerKind::Lars) {
    const AccuracyModel top1 = fit_published("sgd_untuned", published, false);
    out.top1 = top1.predict(batch, epochs);
    out.recipe = top1.recipe;
    return out;
  }
  const AccuracyModel top1 = fit_published("lars_tuned", published, false);
  const AccuracyModel target = fit_published("lars_epochs", published, false);
  out.top1 = top1.predict(batch, epochs);
  out.epochs = target.predict(batch, epochs);
  out.target_percent = target.target_percent;
  out.recipe = fmt::format("top-1: {}. Epochs to {:g} %: {}", top1.recipe, target.target_percent, target.recipe);
  return out;
}

}  // namespace lockstep
