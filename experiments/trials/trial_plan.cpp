#include "experiments/trials/trial_plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/inputs/read_inputs.hpp"

namespace lockstep {

std::vector<Trial> all_trials(const TrialsSpec& spec) {
  std::vector<Trial> trials;
  const auto add = [&](TrialStage stage, std::size_t series, int batch, double rate, std::uint64_t seed) {
    trials.push_back({trials.size(), stage, series, batch, rate, seed, ""});
  };
  for (std::size_t s = 0; s < spec.series.size(); ++s) {
    for (const int batch : spec.series[s].batches) {
      for (const double rate : spec.series[s].rates) add(TrialStage::Tune, s, batch, rate, spec.tuning_seed);
    }
  }
  for (std::size_t s = 0; s < spec.series.size(); ++s) {
    for (const int batch : spec.series[s].batches) {
      for (const std::uint64_t seed : spec.seeds) add(TrialStage::Final, s, batch, 0, seed);
    }
  }
  return trials;
}

std::vector<std::string> overrides_of(const TrialsRequest& request, const TrialsSpec& spec, const Trial& trial) {
  std::vector<std::string> sets = request.sets;
  const auto& of_series = spec.series[trial.series].set;
  sets.insert(sets.end(), of_series.begin(), of_series.end());
  const std::int64_t micro = spec.largest_micro_batch;
  const std::int64_t accumulation = micro > 0 ? std::max<std::int64_t>(1, (trial.batch + micro - 1) / micro) : 1;
  sets.push_back(fmt::format("training.global_batch={}", trial.batch));
  sets.push_back(fmt::format("training.accumulation={}", accumulation));
  sets.push_back(fmt::format("training.seed={}", trial.seed));
  sets.push_back(fmt::format("schedule.base_lr={}", trial.rate));
  sets.emplace_back("schedule.linear_scaling_base=0");
  sets.emplace_back("cluster.gpus=1");
  sets.emplace_back("real.threads=1");
  return sets;
}

Inputs read_trial(const TrialsRequest& request, const TrialsSpec& spec, const Trial& trial) {
  try {
    return read_inputs(request.run_file, overrides_of(request, spec, trial), request.paths);
  } catch (const ConfigError& e) {
    const TrialSeries& series = spec.series[trial.series];
    std::vector<Fault> faults = e.faults();
    for (Fault& fault : faults) {
      constexpr const char* kSet = "--set ";
      if (fault.where.rfind(kSet, 0) != 0) continue;
      const std::string text = fault.where.substr(std::string(kSet).size());
      const bool users = std::find(request.sets.begin(), request.sets.end(), text) != request.sets.end();
      if (!users) fault.where = fmt::format("{}: series \"{}\": {}", series.where, series.name, text);
    }
    throw ConfigError(std::move(faults));
  }
}

bool same_place(const Trial& a, const Trial& b) {
  return a.stage == b.stage && a.series == b.series && a.batch == b.batch && a.seed == b.seed;
}

Outcomes place(const std::vector<Trial>& trials, const std::vector<FinishedTrial>& finished) {
  Outcomes outcomes;
  for (const Trial& t : trials) {
    for (const auto& [f, outcome] : finished) {
      if (same_place(t, f) && t.rate == f.rate) outcomes[t.index] = outcome;
    }
  }
  return outcomes;
}

std::optional<BestRate> best_rate(const TrialsSpec& spec, const std::vector<Trial>& trials, const Outcomes& outcomes,
                                  std::size_t series, int batch) {
  const std::vector<double>& grid = spec.series[series].rates;
  std::optional<BestRate> best;
  double top = -1;
  for (const Trial& t : trials) {
    if (t.stage != TrialStage::Tune || t.series != series || t.batch != batch) continue;
    const auto found = outcomes.find(t.index);
    if (found == outcomes.end() || !found->second.error.empty()) return {};
    const double top1 = found->second.diverged ? -1 : found->second.top1_percent.value_or(-1);
    if (best && top1 <= top) continue;  // a grid rises: the lower rate stays
    top = top1;
    best = BestRate{t.rate, ""};
  }
  if (best && grid.size() > 1) {
    if (best->rate == grid.front()) best->edge = "low";
    if (best->rate == grid.back()) best->edge = "high";
  }
  return best;
}

void choose_rates(const TrialsSpec& spec, std::vector<Trial>& trials, const Outcomes& outcomes) {
  for (Trial& t : trials) {
    if (t.stage != TrialStage::Final) continue;
    const TrialSeries& own = spec.series[t.series];
    const TrialSeries& source = own.tuned() ? own : *spec.find(own.rates_of);
    const auto index = static_cast<std::size_t>(&source - spec.series.data());
    const bool linear = !own.tuned() && own.rule == RateRule::Linear;
    const int at = linear ? source.batches.front() : t.batch;
    const auto best = best_rate(spec, trials, outcomes, index, at);
    if (!best) continue;
    t.rate = best->rate * t.batch / at;
    t.edge = best->edge;
  }
}

}  // namespace lockstep
