#include "experiments/inputs/top1.hpp"

#include "core/run/convergence.hpp"

namespace lockstep {

sim::Top1Model top1_model(const RunSpec& run, SharedFiles& files) {
  constexpr double kFewestEpochs = 85, kMostEpochs = 100;  // the published points are runs of 90 epochs or nearly so
  constexpr std::int64_t kImageNet = 1281167;
  const bool covered = run.model.name == "resnet50" && run.model.classes == 0 &&
                       run.data.training_images == kImageNet && run.training.epochs >= kFewestEpochs &&
                       run.training.epochs <= kMostEpochs && run.schedule.batches.empty();
  if (!covered) return {};
  const CsvTable& t =
      files.table(files.paths().data / "published" /
                  (run.optimizer.kind == OptimizerKind::Lars ? "top1_lars_tuned.csv" : "top1_goyal.csv"));
  std::vector<BatchPoint> points;
  for (std::size_t r = 0; r < t.rows(); ++r)
    points.push_back({t.number(r, "batch"), t.number(r, "value"), t.number(r, "sigma")});
  const auto top1 = interpolate_top1(points, static_cast<double>(run.training.global_batch));
  return [top1, end = run.training.epochs](double epoch) -> std::optional<Figure> {
    return epoch + 1e-6 >= end ? top1 : std::nullopt;
  };
}

}  // namespace lockstep
