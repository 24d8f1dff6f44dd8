#include "experiments/inputs/top1.hpp"

#include "experiments/accuracy/accuracy_models.hpp"

namespace lockstep {

sim::Top1Model top1_model(const RunSpec& run, const std::filesystem::path& data) {
  const auto top1 = run_accuracy(run, data).top1;
  if (!top1) return {};
  return [figure = top1->figure, end = run.training.epochs](double epoch) -> std::optional<Figure> {
    constexpr double kRounding = 1e-6;
    if (epoch + kRounding < end) return std::nullopt;
    return figure;
  };
}

}  // namespace lockstep
