#include "experiments/inputs/top1.hpp"

#include <memory>
#include <mutex>

#include "experiments/accuracy/accuracy_models.hpp"

namespace lockstep {

sim::Top1Model top1_model(const RunSpec& run, const std::filesystem::path& data) {
  struct Late {
    std::once_flag once;
    std::optional<Figure> figure;
  };
  return [late = std::make_shared<Late>(), run, data](double epoch) -> std::optional<Figure> {
    constexpr double kRounding = 1e-6;
    if (epoch + kRounding < run.training.epochs) return std::nullopt;
    std::call_once(late->once, [&] {
      if (const auto top1 = run_accuracy(run, data).top1) late->figure = top1->figure;
    });
    return late->figure;
  };
}

}  // namespace lockstep
