#include "experiments/inputs/top1.hpp"

#include <utility>

#include "experiments/accuracy/run_accuracy.hpp"

namespace lockstep {

sim::Top1Model top1_model(const RunSpec& run, std::shared_ptr<const FittedModels> models) {
  return [run, models = std::move(models)](double epoch) -> std::optional<Figure> {
    constexpr double kRounding = 1e-6;
    if (epoch + kRounding < run.training.epochs) return std::nullopt;
    const auto top1 = run_accuracy(run, *models).top1;
    return top1 ? std::optional(top1->figure) : std::nullopt;
  };
}

}  // namespace lockstep
