#include "experiments/accuracy/run_accuracy.hpp"

#include <fmt/format.h>

#include "experiments/accuracy/fitted_models.hpp"

namespace lockstep {

bool accuracy_covered(const RunSpec& run) {
  constexpr int kClasses = 1000, kImageSize = 224;  // 0 in a run file is the model's own: the same
  const ModelSpec& m = run.model;
  return m.name == "resnet50" && (m.classes == 0 || m.classes == kClasses) &&
         (m.image_size == 0 || m.image_size == kImageSize) && run.data.training_images == kImageNetImages &&
         run.schedule.batches.empty();
}

RunAccuracy run_accuracy(const RunSpec& run, const FittedModels& models) {
  if (!accuracy_covered(run)) return {};
  const double batch = static_cast<double>(run.training.global_batch), epochs = run.training.epochs;
  RunAccuracy out;
  if (run.optimizer.kind != OptimizerKind::Lars) {
    const AccuracyModel& top1 = models.of("sgd_untuned");
    out.top1 = top1.predict(batch, epochs);
    if (out.top1) out.recipe = top1.recipe;
    return out;
  }
  const AccuracyModel &top1 = models.of("lars_tuned"), &target = models.of("lars_epochs");
  out.top1 = top1.predict(batch, epochs);
  out.epochs = target.predict(batch, epochs);
  out.target_percent = target.target_percent;
  if (out.top1) out.recipe = "top-1: " + top1.recipe;
  if (out.epochs)
    out.recipe += fmt::format("{}Epochs to {:g} %: {}", out.top1 ? ". " : "", target.target_percent, target.recipe);
  return out;
}

}  // namespace lockstep
