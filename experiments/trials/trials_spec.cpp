#include "experiments/trials/trials_spec.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "experiments/config_io/reader.hpp"

namespace lockstep {

namespace {

constexpr double kRatioSlack = 0.02;  // 0.1, 0.2, 0.5 is no grid; 1, 3.16, 10 is one

bool rising(const auto& values) {
  return std::adjacent_find(values.begin(), values.end(), [](auto a, auto b) { return a >= b; }) == values.end();
}

/// Ratio of neighbours; 0 if they differ, 1 for a grid of one rate.
double ratio_of(const std::vector<double>& rates) {
  if (rates.size() < 2) return 1;
  const double ratio = rates[1] / rates[0];
  for (std::size_t i = 2; i < rates.size(); ++i) {
    if (std::abs(rates[i] / rates[i - 1] / ratio - 1) > kRatioSlack) return 0;
  }
  return ratio;
}

/// Keys that a trial sets itself.
const std::vector<std::string> kOwn{"training.global_batch", "training.accumulation",        "training.seed",
                                    "schedule.base_lr",      "schedule.linear_scaling_base", "cluster.gpus",
                                    "real.threads"};

void check_set(ConfigTable& table, const std::vector<std::string>& sets) {
  for (const std::string& text : sets) {
    const std::string key = text.substr(0, text.find('='));
    if (text.find('=') == std::string::npos || key.empty())
      table.fault("set", fmt::format("\"{}\" is no path=value; expected such as \"optimizer.kind=lars\"", text));
    else if (std::find(kOwn.begin(), kOwn.end(), key) != kOwn.end())
      table.fault("set", fmt::format("{} is set by each trial itself; leave it out", key));
    else if (key.rfind("output", 0) == 0)
      table.fault("set", fmt::format("{}: trials write nothing; leave it out", key));
  }
}

void check_rates(ConfigTable& table, const TrialSeries& s) {
  if (!table.has("rates") && !table.has("rates_of")) {
    table.fault("rates", "missing; expected a grid such as [0.1, 0.2, 0.4], or rates_of and a rule");
    return;
  }
  if (table.has("rates") && table.has("rates_of")) {
    table.fault("rates_of", "contradicts rates; expected one of the two");
    return;
  }
  if (!table.has("rates")) {
    if (s.rates_of.empty()) table.fault("rates_of", "is empty; expected the name of a series with rates");
    return;
  }
  if (table.has("rule")) table.fault("rule", "is of series with rates_of; leave it out");
  const bool positive = std::all_of(s.rates.begin(), s.rates.end(), [](double r) { return std::isfinite(r) && r > 0; });
  if (s.rates.empty() || !positive || !rising(s.rates))
    table.fault("rates", "expected rates above 0 in rising order, at least one");
  else if (ratio_of(s.rates) == 0)
    table.fault("rates", "neighbours differ by unequal factors; expected one factor, such as [0.1, 0.2, 0.4]");
}

}  // namespace

const TrialSeries* TrialsSpec::find(const std::string& name) const {
  const auto it = std::find_if(series.begin(), series.end(), [&](const TrialSeries& s) { return s.name == name; });
  return it == series.end() ? nullptr : &*it;
}

TrialsSpec read_trials(const std::filesystem::path& path) {
  Reader reader(path);
  ConfigTable root = reader.root();
  TrialsSpec spec;
  std::vector<int> seeds;
  int tuning_seed = 1;
  root.read("tuning_seed", tuning_seed);
  if (tuning_seed < 0) root.fault("tuning_seed", fmt::format("{} is negative; expected 0 or more", tuning_seed));
  spec.tuning_seed = static_cast<std::uint64_t>(std::max(0, tuning_seed));
  root.require("seeds", "fresh seeds such as [11, 12, 13]");
  root.read("seeds", seeds);
  root.read("largest_micro_batch", spec.largest_micro_batch);
  root.require("series", "at least one [[series]]");
  if (spec.largest_micro_batch < 0)
    root.fault("largest_micro_batch", "expected a number of images, or 0 for no accumulation");
  for (const int seed : seeds) {
    const auto value = static_cast<std::uint64_t>(std::max(0, seed));
    if (seed < 0)
      root.fault("seeds", fmt::format("{} is negative; expected 0 or more", seed));
    else if (value == spec.tuning_seed)
      root.fault("seeds", fmt::format("{} is the tuning seed; expected fresh ones", seed));
    else if (std::find(spec.seeds.begin(), spec.seeds.end(), value) != spec.seeds.end())
      root.fault("seeds", fmt::format("{} is given twice", seed));
    else
      spec.seeds.push_back(value);
  }
  if (root.has("seeds") && seeds.empty()) root.fault("seeds", "expected at least one");

  std::vector<ConfigTable> tables = root.tables("series");
  for (ConfigTable& table : tables) {
    TrialSeries s;
    table.require("name", "a text for legends");
    table.require("batches", "global batches such as [256, 2048]");
    table.read("name", s.name);
    table.read("set", s.set);
    table.read("batches", s.batches);
    table.read("rates", s.rates);
    table.read("rates_of", s.rates_of);
    std::string rule = "same";
    table.read("rule", rule);
    s.rule = rule == "linear" ? RateRule::Linear : RateRule::Same;
    if (rule != "linear" && rule != "same")
      table.fault("rule", fmt::format("\"{}\" is not known; expected same, linear", rule));
    s.where = table.place();
    if (table.has("name") && s.name.empty()) table.fault("name", "is empty; expected a text for legends");
    if (!s.name.empty() && spec.find(s.name) != nullptr) table.fault("name", "\"" + s.name + "\" is given twice");
    if (table.has("batches") && (s.batches.empty() || s.batches.front() < 1 || !rising(s.batches)))
      table.fault("batches", "expected batches above 0 in rising order, at least one");
    check_set(table, s.set);
    check_rates(table, s);
    spec.series.push_back(std::move(s));
  }

  // What concerns several series at once.
  const TrialSeries* first = nullptr;
  for (std::size_t i = 0; i < spec.series.size(); ++i) {
    const TrialSeries& s = spec.series[i];
    if (!s.tuned()) {
      const TrialSeries* source = spec.find(s.rates_of);
      if (source == nullptr || !source->tuned()) {
        tables[i].fault("rates_of", fmt::format("\"{}\" is no series with rates", s.rates_of));
        continue;
      }
      for (const int batch : s.batches) {
        const auto& known = source->batches;
        if (s.rule == RateRule::Same && std::find(known.begin(), known.end(), batch) == known.end())
          tables[i].fault("batches", fmt::format("{} is no batch of \"{}\", whose rates are taken", batch, s.rates_of));
      }
      continue;
    }
    if (s.rates.empty()) continue;
    if (first == nullptr) first = &s;
    if (s.rates.size() != first->rates.size())
      tables[i].fault("rates", fmt::format("{} rates, but \"{}\" tries {}; expected equal tuning budgets",
                                           s.rates.size(), first->name, first->rates.size()));
    else if (std::abs(ratio_of(s.rates) / ratio_of(first->rates) - 1) > kRatioSlack)
      tables[i].fault("rates",
                      fmt::format("a factor of {:g} between neighbours, but \"{}\" has {:g}; expected equal ones",
                                  ratio_of(s.rates), first->name, ratio_of(first->rates)));
  }
  reader.report_unknown_keys();
  reader.finish();
  return spec;
}

}  // namespace lockstep
