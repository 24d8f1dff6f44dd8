#include "experiments/validation/validation.hpp"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <sstream>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "core/plan/planner.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/config_io/words.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/interval.hpp"
#include "experiments/validation/model_error.hpp"
#include "sim/network/estimate.hpp"

namespace lockstep {

namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ';');) {
    part.erase(0, part.find_first_not_of(' '));
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

Inputs load_row(const ValidationRow& row, const std::vector<std::string>& set, const std::filesystem::path& data,
                const std::filesystem::path& experiments) {
  return read_inputs(experiments / row.run / "run.toml", set, {data});
}

using Change = std::function<void(Inputs&)>;

/// `change` is made to the inputs before anything is planned on them.
double collective_us(const ValidationRow& row, const std::vector<std::string>& set, const std::filesystem::path& data,
                     const Change& change = {}) {
  std::map<std::string, std::string> value;
  for (const auto& s : set) {
    const auto eq = s.find('=');
    if (eq == std::string::npos) throw ConfigError("validation row " + row.id, s, "expected key=value");
    value[s.substr(0, eq)] = s.substr(eq + 1);
  }
  const auto get = [&](const std::string& key, const std::string& otherwise) {
    return value.count(key) ? value[key] : otherwise;
  };
  const DataPaths paths{data};
  Inputs in;
  in.cluster = read_cluster(get("cluster", ""), paths);
  in.library = read_library(get("library", "plain"), paths);
  in.run.cluster.gpus = std::stoi(get("gpus", "1"));
  in.run.allreduce.algorithm =
      value_of<AllreduceAlgorithm>(get("algorithm", "ring")).value_or(AllreduceAlgorithm::Ring);
  in.run.allreduce.across = value_of<AllreduceAlgorithm>(get("across", "ring")).value_or(AllreduceAlgorithm::Ring);
  in.run.allreduce.protocol = get("protocol", "auto");
  if (get("leaders", "no") ==
      "yes") {  // one GPU per server takes part, as in Goyal's comparison of algorithms between servers
    in.cluster.node.gpus = 1;
    in.cluster.node.nvlink = {};
    in.cluster.node.pcie.switches.clear();
    in.cluster.node.nic.nic_of_gpu = {0};
  }
  if (change) change(in);
  const int node_gpus = gpus_per_node_used(in.run, in.cluster.node);
  const sim::EstimateContext context{in.cluster, in.library, node_gpus, false};
  const CollectivePlan plan = plan_allreduce(
      in.run, in.cluster.node, node_gpus, std::stoll(get("bytes", "4")) / 4, 4, [&](const CollectivePlan& p) {
        return sim::estimate(p, context, sim::choose_protocol(p, context, in.run.allreduce.protocol));
      });
  const Time stagger = value.count("stagger") ? parse_time(value["stagger"]) : Time::zero();
  return sim::simulate_collective({in.run, in.cluster, {}, in.library, {}}, plan, stagger).time.microseconds();
}

/// The interval of a quantity whose inputs are, or are like, `inputs`.
void add_interval(ValidationResult& result, const Inputs& inputs, const std::filesystem::path& data,
                  const Quantity& quantity, bool ratio) {
  ModelError error = read_model_error({data}, inputs, result.row.id);
  if (ratio) {  // two runs
    error.run_to_run.low *= std::sqrt(2.0);
    error.run_to_run.high *= std::sqrt(2.0);
  }
  std::vector<Uncertain> list = banded_parameters(inputs);
  for (Uncertain& u : model_errors(inputs, error)) list.push_back(std::move(u));
  const Spread s = spread_of(list, error.run_to_run, inputs.run.simulation.noise, quantity, {});
  result.interval_low = result.predicted * (1 + s.low);
  result.interval_high = result.predicted * (1 + s.high);
}

/// The interval of a bare collective: what its row sets, changed.
void add_collective_interval(ValidationResult& result, const std::filesystem::path& data) {
  const ValidationRow& row = result.row;
  const bool ratio = row.quantity == "allreduce_ratio";
  Inputs inputs;
  collective_us(row, row.set, data, [&](Inputs& in) { inputs = in; });
  inputs.run.simulation.noise = false;
  add_interval(
      result, inputs, data,
      [&](const Change& change, bool) {
        const double time = collective_us(row, row.set, data, change);
        return ratio ? time / collective_us(row, row.against, data, change) : time;
      },
      ratio);
}

}  // namespace

std::vector<ValidationRow> read_validation(const std::filesystem::path& data) {
  const CsvTable t = read_csv(data / "published" / "validation.csv");
  std::vector<ValidationRow> rows;
  for (std::size_t r = 0; r < t.rows(); ++r) {
    ValidationRow row;
    row.id = t.text(r, "id");
    row.quantity = t.text(r, "quantity");
    row.run = t.text(r, "run");
    row.set = split(t.text(r, "set"));
    row.against = split(t.text(r, "against"));
    row.published = t.number(r, "published");
    row.low = t.number(r, "low");
    row.high = t.number(r, "high");
    row.counted = t.text(r, "counted") == "yes";
    row.reason = t.text(r, "reason");
    row.source = t.text(r, "source");
    row.confidence = t.text(r, "confidence");
    rows.push_back(std::move(row));
  }
  return rows;
}

ValidationResult validate_row(const ValidationRow& row, const std::filesystem::path& data,
                              const std::filesystem::path& experiments, bool interval) {
  ValidationResult result;
  result.row = row;
  if (row.quantity == "not_simulated") {
    result.predicted = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  if (row.quantity == "allreduce_us") {
    result.predicted = collective_us(row, row.set, data);
    if (interval) add_collective_interval(result, data);
    return result;
  }
  if (row.quantity == "allreduce_ratio") {
    result.predicted = collective_us(row, row.set, data) / collective_us(row, row.against, data);
    if (interval) add_collective_interval(result, data);
    return result;
  }
  const Inputs inputs = load_row(row, row.set, data, experiments);
  if (row.quantity == "time_to_train_s") {
    result.predicted = predict_run(inputs, {}).run.elapsed.seconds();
    return result;
  }
  if (row.quantity == "time_ratio") {
    const Inputs against = load_row(row, row.against, data, experiments);
    result.predicted = predict_run(inputs, {}).run.elapsed / predict_run(against, {}).run.elapsed;
    return result;
  }
  const StepPrediction step = predict_step(inputs);
  const bool rate = row.quantity == "images_per_s";
  const auto quantity = [&](Time t) {
    return rate ? static_cast<double>(step.global_batch) / t.seconds() : t.milliseconds();
  };
  result.predicted = quantity(step.step);
  if (row.quantity == "step_ratio") {
    const Inputs against = load_row(row, row.against, data, experiments);
    result.predicted /= predict_step(against).step.milliseconds();
    if (interval) {
      const Quantity one = step_quantity(inputs), other = step_quantity(against);
      add_interval(
          result, inputs, data,
          [&](const Change& change, bool noisy) { return one(change, noisy) / other(change, noisy); }, true);
    }
    return result;
  }
  if (!rate && row.quantity != "step_ms")
    throw ConfigError("validation row " + row.id, "quantity", "\"" + row.quantity + "\" is not known");
  if (interval) {
    const Interval i = predict_interval(inputs, step, read_model_error({data}, inputs), {});
    result.interval_low = quantity(rate ? i.high : i.low);
    result.interval_high = quantity(rate ? i.low : i.high);
  }
  return result;
}

}  // namespace lockstep
