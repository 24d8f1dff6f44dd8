// Run files with all files that they name, and what follows from them: an accepted run can be planned, and where it is small one step of it simulated.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "experiments/inputs/read_inputs.hpp"
#include "experiments/queries/costed_plan.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace lockstep::fuzz {
namespace {

constexpr int kGpus = 64;                   // a plan of more is as good a plan, only slower
constexpr std::int64_t kMessages = 20'000;  // of a step that is simulated
constexpr std::int64_t kSampledSteps = 2;

std::int64_t messages_of(const CostedPlan& plan) {
  return std::accumulate(plan.counts.begin(), plan.counts.end(), std::int64_t{0},
                         [](std::int64_t sum, const CollectiveCount& c) { return sum + c.messages; });
}

}  // namespace

void one_input(const std::string& text) {
  const RunInput input = split_overrides(text);
  const DataPaths paths{std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "data"};
  Inputs inputs;
  if (!accepted([&] { inputs = read_inputs(written("run.toml", input.file), input.overrides, paths); })) return;
  if (inputs.run.cluster.gpus > kGpus || inputs.run.simulation.sampled_steps > kSampledSteps) return;
  CostedPlan plan;
  if (!accepted([&] { plan = plan_and_cost(inputs, false, [](double, const std::string&) { return false; }); })) return;
  if (messages_of(plan) > kMessages) return;
  StepPrediction step;
  if (!accepted([&] { step = predict_step(inputs); })) return;
  require(step.step > Time::zero(), "a step that takes no time");
  require(std::isfinite(step.images_per_second) && step.images_per_second > 0, "a rate that is none");
  std::vector<int> curve = inputs.run.output.curve;
  std::erase_if(curve, [&](int gpus) { return gpus > inputs.run.cluster.gpus; });
  curve.resize(std::min<std::size_t>(curve.size(), 2));
  accepted([&] { predict_curve(inputs, curve, {}); });
}

}  // namespace lockstep::fuzz
