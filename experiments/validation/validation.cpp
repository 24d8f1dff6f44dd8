#include "experiments/validation/validation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"
#include "experiments/config_io/choices.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/interval.hpp"
#include "experiments/queries/collective.hpp"
#include "experiments/validation/model_error.hpp"

namespace lockstep {

namespace {

std::vector<std::string> split(const std::string& text, char at = ';') {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) {
    part.erase(0, part.find_first_not_of(' '));
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

Inputs load_row(const ValidationRow& row, const std::vector<std::string>& set, const std::filesystem::path& data,
                const std::filesystem::path& experiments) {
  return read_inputs(experiments / row.run / "run.toml", set, {data});
}

/// Leaves `count` of the node's NICs, at even distances, and deals the GPUs to them in blocks.
void keep_nics(NodeSpec& node, int count) {
  NicSpec& nic = node.nic;
  LOCKSTEP_EXPECTS(count >= 1 && count <= nic.count);
  const auto keep = [&](std::vector<int>& list) {
    if (list.empty()) return;
    std::vector<int> kept;
    kept.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) kept.push_back(list[static_cast<std::size_t>(i * nic.count / count)]);
    list = std::move(kept);
  };
  keep(nic.cpu);
  keep(nic.under_switch);
  nic.count = count;
  nic.nic_of_gpu.clear();
  for (int g = 0; g < node.gpus; ++g) nic.nic_of_gpu.push_back(g * count / node.gpus);
}

using Change = std::function<void(Inputs&)>;

/// `change` is made to the inputs before anything is planned on them.
double collective_us(const ValidationRow& row, const std::vector<std::string>& set, const std::filesystem::path& data,
                     const Change& change = {}) {
  static const std::vector<std::string> kKeys = {"cluster", "gpus",     "library", "bytes",    "algorithm",
                                                 "across",  "protocol", "among",   "launch",   "stagger",
                                                 "nvlink",  "nics",     "leaders", "gpudirect"};
  const std::string where = "validation row " + row.id;
  std::map<std::string, std::string> value;
  for (const auto& s : set) {
    const auto eq = s.find('=');
    const std::string key = s.substr(0, eq);
    if (eq == std::string::npos || std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      throw ConfigError(where, s, fmt::format("expected key=value, with a key of {}", fmt::join(kKeys, ", ")));
    value[key] = s.substr(eq + 1);
  }
  const auto get = [&](const std::string& key, const std::string& otherwise) {
    return value.count(key) ? value[key] : otherwise;
  };
  const DataPaths paths{data};
  Inputs in;
  in.cluster = read_cluster(get("cluster", ""), paths);
  in.library = read_library(get("library", "plain"), paths);
  in.run.cluster.gpus = std::stoi(get("gpus", "1"));
  in.run.allreduce.algorithm = value_of_key<AllreduceAlgorithm>("allreduce.algorithm", get("algorithm", "ring"), where);
  in.run.allreduce.across = value_of_key<AllreduceAlgorithm>("allreduce.across", get("across", "ring"), where);
  in.run.allreduce.protocol = get("protocol", "auto");
  in.run.allreduce.among = split(get("among", ""), ',');
  if (std::vector<Fault> faults = among_faults(in.run.allreduce); !faults.empty()) {
    for (Fault& f : faults) f.where = where;
    throw ConfigError(std::move(faults));
  }
  if (get("nvlink", "yes") == "no") in.cluster.node.nvlink = {};
  if (value.count("nics")) keep_nics(in.cluster.node, std::stoi(value["nics"]));
  if (get("leaders", "no") ==
      "yes") {  // one GPU per server takes part, as in Goyal's comparison of algorithms between servers
    in.cluster.node.gpus = 1;
    in.cluster.node.nvlink = {};
    in.cluster.node.pcie.switches.clear();
    in.cluster.node.nic.nic_of_gpu = {0};
  }
  if (value.count("launch")) in.library.launch = Sourced<Time>(parse_time(value["launch"]));
  if (change) change(in);
  if (!in.cluster.node.gpu.empty()) in.gpu = read_gpu(in.cluster.node.gpu, paths);
  in.run.allreduce.gpudirect = get("gpudirect", "no") == "yes";
  const Time stagger = value.count("stagger") ? parse_time(value["stagger"]) : Time::zero();
  return BareAllreduce(std::move(in), 4, stagger).at(Bytes(std::stoll(get("bytes", "4")))).time.microseconds();
}

/// Rows of the complete tables.
void add_tables(const std::filesystem::path& data, std::vector<ValidationRow>& rows) {
  constexpr double kSmall = 1 << 20, kSmallBand = 0.30, kBand = 0.15;
  const CsvTable tables = read_csv(data / "published" / "nccl_tables.csv",
                                   {"table", "counted", "source", "confidence", "set", "reason"}),
                 times = read_csv(data / "published" / "nccl_tests.csv", {"table", "bytes", "time_us"});
  for (std::size_t t = 0; t < tables.rows(); ++t) {
    ValidationRow row;
    const std::string name = tables.text(t, "table");
    const bool counted = tables.text(t, "counted") == "yes";
    row.source = tables.text(t, "source");
    row.confidence = tables.text(t, "confidence");
    ValidationRow small = row;
    small.id = name + "_small";
    small.quantity = "allreduce_median";
    small.set = split(tables.text(t, "set"));
    small.published = 1;
    small.low = 1 - kSmallBand;
    small.high = 1 + kSmallBand;
    small.counted = counted;
    small.reason = tables.text(t, "reason");
    std::vector<ValidationRow> sizes;
    for (std::size_t i = 0; i < times.rows(); ++i) {
      if (times.text(i, "table") != name) continue;
      const double bytes = times.number(i, "bytes");
      ValidationRow one = row;
      one.id = name + "_" + times.text(i, "bytes");
      one.quantity = "allreduce_us";
      one.set = small.set;
      one.set.push_back("bytes=" + times.text(i, "bytes"));
      one.published = times.number(i, "time_us");
      one.low = one.published * (1 - kBand);
      one.high = one.published * (1 + kBand);
      one.counted = counted && bytes >= kSmall;
      one.reason = counted && bytes < kSmall ? "counts in the median of the small sizes" : small.reason;
      if (bytes < kSmall) small.against.push_back(times.text(i, "bytes") + "=" + times.text(i, "time_us"));
      sizes.push_back(std::move(one));
    }
    if (sizes.empty())
      throw ConfigError(tables.where(t, "table"), "table", "\"" + name + "\" has no times in nccl_tests.csv");
    if (!small.against.empty()) rows.push_back(std::move(small));
    rows.insert(rows.end(), sizes.begin(), sizes.end());
  }
}

/// The interval of a quantity whose inputs are, or are like, `inputs`.
void add_interval(ValidationResult& result, const Inputs& inputs, const std::filesystem::path& data,
                  const Quantity& quantity, bool ratio, std::size_t threads) {
  ModelError error = read_model_error({data}, inputs, result.row.id);
  if (ratio) {  // two runs
    error.run_to_run.low *= std::sqrt(2.0);
    error.run_to_run.high *= std::sqrt(2.0);
  }
  std::vector<Uncertain> list = banded_parameters(inputs);
  for (Uncertain& u : model_errors(inputs, error)) list.push_back(std::move(u));
  const Spread s = spread_of(list, error.run_to_run, inputs.run.simulation.noise, quantity, {}, threads);
  result.interval_low = result.predicted * (1 + s.low);
  result.interval_high = result.predicted * (1 + s.high);
}

/// The interval of a bare collective: what its row sets, changed.
void add_collective_interval(ValidationResult& result, const std::filesystem::path& data, std::size_t threads) {
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
      ratio, threads);
}

}  // namespace

std::vector<ValidationRow> read_validation(const std::filesystem::path& data) {
  const CsvTable t =
      read_csv(data / "published" / "validation.csv", {"id", "quantity", "run", "set", "against", "published", "low",
                                                       "high", "counted", "reason", "source", "confidence"});
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
  add_tables(data, rows);
  return rows;
}

std::vector<ValidationRow> rows_named(const std::vector<ValidationRow>& rows, const std::string& only) {
  std::vector<ValidationRow> named;
  std::vector<std::string> ids;
  for (const ValidationRow& row : rows) {
    ids.push_back(row.id);
    if (row.id.rfind(only, 0) == 0) named.push_back(row);
  }
  if (named.empty()) throw ConfigError("--only", "", unknown_word(only, ids));
  return named;
}

ValidationResult validate_row(const ValidationRow& row, const std::filesystem::path& data,
                              const std::filesystem::path& experiments, bool interval, std::size_t threads) {
  ValidationResult result;
  result.row = row;
  if (row.quantity == "not_simulated") {
    result.predicted = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  if (row.quantity == "allreduce_us") {
    result.predicted = collective_us(row, row.set, data);
    if (interval) add_collective_interval(result, data, threads);
    return result;
  }
  if (row.quantity == "allreduce_busbw") {
    int gpus = 1;
    double bytes = 0;
    for (const auto& s : row.set) {
      if (s.rfind("gpus=", 0) == 0) gpus = std::stoi(s.substr(5));
      if (s.rfind("bytes=", 0) == 0) bytes = std::stod(s.substr(6));
    }
    result.predicted = bytes / collective_us(row, row.set, data) * 2 * (gpus - 1) / gpus / 1e3;
    return result;
  }
  if (row.quantity == "allreduce_median") {
    std::vector<double> ratios;
    for (const auto& one : row.against) {
      auto set = row.set;
      set.push_back("bytes=" + one.substr(0, one.find('=')));
      ratios.push_back(collective_us(row, set, data) / std::stod(one.substr(one.find('=') + 1)));
    }
    std::sort(ratios.begin(), ratios.end());
    const std::size_t n = ratios.size();
    result.predicted = (ratios[(n - 1) / 2] + ratios[n / 2]) / 2;
    return result;
  }
  if (row.quantity == "allreduce_ratio") {
    result.predicted = collective_us(row, row.set, data) / collective_us(row, row.against, data);
    if (interval) add_collective_interval(result, data, threads);
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
      const Quantity one = step_quantity(with_plan_fixed(inputs)), other = step_quantity(with_plan_fixed(against));
      add_interval(
          result, inputs, data,
          [&](const Change& change, bool noisy) { return one(change, noisy) / other(change, noisy); }, true, threads);
    }
    return result;
  }
  if (!rate && row.quantity != "step_ms")
    throw ConfigError("validation row " + row.id, "quantity", "\"" + row.quantity + "\" is not known");
  if (interval) {
    const Interval i = predict_interval(inputs, step, read_model_error({data}, inputs), {}, threads);
    result.interval_low = quantity(rate ? i.high : i.low);
    result.interval_high = quantity(rate ? i.low : i.high);
  }
  return result;
}

std::vector<ValidationResult> validate_rows(const std::vector<ValidationRow>& rows, const std::filesystem::path& data,
                                            const std::filesystem::path& experiments, bool interval,
                                            std::size_t threads, const Progress& progress) {
  std::vector<ValidationResult> results(rows.size());
  const std::size_t at_a_time = std::clamp<std::size_t>(rows.size(), 1, std::max<std::size_t>(1, threads));
  const bool whole = for_each_in_parallel(
      rows.size(), at_a_time,
      [&](std::size_t i) {
        results[i] = validate_row(rows[i], data, experiments, interval, std::max<std::size_t>(1, threads / at_a_time));
      },
      [&](std::size_t done) {
        if (!progress || done == rows.size()) return true;
        return progress(static_cast<double>(done) / static_cast<double>(rows.size()), rows[done].id);
      });
  if (!whole) results.clear();
  return results;
}

}  // namespace lockstep
