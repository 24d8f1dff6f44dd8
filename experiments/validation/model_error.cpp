#include "experiments/validation/model_error.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <boost/math/distributions/students_t.hpp>

#include "core/model/zoo.hpp"
#include "core/spec/releases.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/config_io/reader.hpp"
#include "experiments/validation/validation.hpp"
#include "sim/device/gpu_model.hpp"

namespace lockstep {

namespace {

constexpr double kTail = 0.95;
constexpr double kSigmas = 1.6449;  // of a normal at that tail
constexpr const char* kSeriesModel = "ResNet-50";
constexpr std::int64_t kLarge = 1 << 20;  // bytes

double student(double degrees) { return boost::math::quantile(boost::math::students_t(degrees), kTail); }

struct Series {
  std::string gpu, framework, file;
};

struct Stated {
  Sourced<double> run_to_run, unanchored;
  std::vector<std::string> inside_a_node, without_nvlink, between_nodes;  ///< tables of nccl_tables.csv
  std::vector<Series> series;
};

Stated read_stated(const DataPaths& paths) {
  Reader reader(paths.data / "model_error.toml");
  Stated out;
  ConfigTable root = reader.root();
  root.require("run_to_run", "sigma of the step time from run to run");
  root.require("unanchored", "half-width of the band of compute time without an anchor");
  root.read("run_to_run", out.run_to_run);
  root.read("unanchored", out.unanchored);
  for (const auto& [key, tables] :
       {std::pair("inside_a_node", &out.inside_a_node), std::pair("without_nvlink", &out.without_nvlink),
        std::pair("between_nodes", &out.between_nodes)}) {
    root.require(key, "names of tables in published/nccl_tables.csv");
    root.read(key, *tables);
  }
  for (ConfigTable t : root.tables("series")) {
    Series& s = out.series.emplace_back();
    for (const char* key : {"gpu", "framework", "file"}) t.require(key, "text");
    t.read("gpu", s.gpu);
    t.read("framework", s.framework);
    t.read("file", s.file);
  }
  reader.report_unknown_keys();
  reader.finish();
  return out;
}

struct SeriesErrors {
  std::vector<double> per_halving, network;
};

SeriesErrors errors_of(const std::vector<Series>& list, const DataPaths& paths) {
  const CsvTable t = read_csv(paths.data / "published" / "single_gpu_series.csv",
                              {"gpu", "framework", "model", "batch", "images_per_s"});
  SeriesErrors out;
  for (const Series& s : list) {
    std::vector<std::size_t> rows;
    std::size_t largest = t.rows();
    for (std::size_t r = 0; r < t.rows(); ++r) {
      if (t.text(r, "gpu") != s.gpu || t.text(r, "framework") != s.framework) continue;
      rows.push_back(r);
      if (t.text(r, "model") == kSeriesModel &&
          (largest == t.rows() || t.whole(r, "batch") > t.whole(largest, "batch")))
        largest = r;
    }
    if (largest == t.rows())
      throw ConfigError((paths.data / "model_error.toml").string(), "series",
                        "no row of " + s.gpu + ", " + s.framework + " in single_gpu_series.csv");
    const double base = t.whole(largest, "batch");
    GpuSpec gpu = read_gpu(s.file, paths);
    Anchor anchor{s.framework, "resnet50", Precision::Fp32, t.whole(largest, "batch"), {}};
    anchor.images_per_second = Sourced<double>(t.number(largest, "images_per_s"));
    gpu.anchors = {anchor};
    const sim::GpuModel model(gpu, Precision::Fp32, "");
    for (const std::size_t r : rows) {
      const bool same = t.text(r, "model") == kSeriesModel;
      const ModelGraph graph = fuse(build_model(same ? "resnet50" : "alexnet"));
      const double error = std::log(model.images_per_second(graph, t.whole(r, "batch")) / t.number(r, "images_per_s"));
      const double halvings = std::log2(base / t.whole(r, "batch"));
      if (!same)
        out.network.push_back(error);
      else if (halvings > 0)
        out.per_halving.push_back(error / halvings);
    }
  }
  return out;
}

std::vector<GpuSpec> all_gpus(const DataPaths& paths) {
  std::vector<GpuSpec> out;
  for (const std::string& name : stems(paths, "gpus")) {
    if (name != "template") out.push_back(read_gpu(name, paths));
  }
  return out;
}

/// ln of the factor between the bare model and one anchor.
double log_factor(GpuSpec gpu, const Anchor& anchor) {
  const Precision precision = anchor.precision;
  gpu.anchors = {anchor};
  return std::log(sim::GpuModel(gpu, precision, anchor.framework).anchor_factor());
}

/// Squares and degrees of freedom of the anchors' factors around the mean of their precision.
struct Scatter {
  double squares = 0;
  int degrees = 0;
  /// The anchors of one framework, or of all (`product` empty).
  void add(const GpuSpec& gpu, const std::string& product = "") {
    std::map<Precision, std::vector<double>> factors;
    for (const Anchor& a : gpu.anchors) {
      if (!product.empty() && product_of(a.framework) != product) continue;
      factors[a.precision].push_back(log_factor(gpu, a));
    }
    for (const auto& [precision, values] : factors) {
      double mean = 0;
      for (const double v : values) mean += v / static_cast<double>(values.size());
      for (const double v : values) squares += (v - mean) * (v - mean);
      degrees += static_cast<int>(values.size()) - 1;
    }
  }
};

/// Of releases of `framework` where enough of them are known on such GPUs, else of frameworks.
ErrorBand software_band(const DataPaths& paths, const GpuSpec& gpu, const std::string& framework) {
  constexpr int kEnough = 2;  // degrees of freedom
  const std::string product = product_of(framework);
  Scatter releases, alike, all;
  for (const GpuSpec& other : all_gpus(paths)) {
    all.add(other);
    if (other.compute_capability != gpu.compute_capability) continue;
    alike.add(other);
    if (!product.empty()) releases.add(other, product);
  }
  const Scatter& scatter = releases.degrees >= kEnough ? releases : alike.degrees >= kEnough ? alike : all;
  if (scatter.degrees < 1) return {};
  const double sigma = std::sqrt(2 * scatter.squares / scatter.degrees);
  const double half = student(scatter.degrees) * sigma;
  return {-half, half,
          fmt::format("anchors of data/gpus{}{}: {} degrees of freedom",
                      &scatter == &all ? "" : fmt::format(" of compute capability {}", gpu.compute_capability),
                      &scatter == &releases ? ", releases of " + product : "", scatter.degrees)};
}

/// Throughput as a random walk over releases: d^2 / years of releases of one product that follow each other on one GPU at one precision.
ErrorBand drift_band(const DataPaths& paths) {
  std::vector<double> squares;
  for (const GpuSpec& gpu : all_gpus(paths)) {
    std::map<std::pair<Precision, std::string>, std::map<int, double>> factors;  // by month
    for (const Anchor& a : gpu.anchors) {
      if (const auto release = release_of(a.framework))
        factors[{a.precision, release->product}][release->month] = log_factor(gpu, a);
    }
    for (const auto& [key, by_month] : factors) {
      for (auto next = by_month.begin(), last = next++; next != by_month.end(); last = next++) {
        const double d = next->second - last->second;
        squares.push_back(d * d * 12 / (next->first - last->first));
      }
    }
  }
  if (squares.empty()) return {};
  const auto n = static_cast<double>(squares.size());
  const double half = student(n) * std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0) / n);
  return {-half, half, fmt::format("{} pairs of releases that follow each other, data/gpus", squares.size())};
}

/// From the anchor that stands for `framework` to the one beyond it.
ErrorBand beyond_band(const GpuSpec& gpu, Precision precision, const std::string& framework) {
  const int beyond = anchor_beyond(gpu, precision, framework);
  if (beyond < 0) return {};
  const Anchor& taken = gpu.anchors[static_cast<std::size_t>(find_anchor(gpu, precision, framework))];
  const Anchor& other = gpu.anchors[static_cast<std::size_t>(beyond)];
  const double d = log_factor(gpu, other) - log_factor(gpu, taken);
  return {std::min(0.0, d), std::max(0.0, d), fmt::format("anchors {} and {}", taken.framework, other.framework)};
}

/// Of the bare allreduces of 1 MiB or more in these tables.
ErrorBand collective_band(const DataPaths& paths, const std::vector<ValidationRow>& rows,
                          const std::vector<std::string>& tables, const std::string& without, const char* key,
                          const std::string& where) {
  const auto large = [](const std::string& set) {
    return set.rfind("bytes=", 0) == 0 && std::stoll(set.substr(6)) >= kLarge;
  };
  std::vector<std::vector<double>> groups;
  std::size_t count = 0;
  // The only table of its kind is no evidence about itself but the best there is: then the row alone is left out.
  const std::string own = tables.size() > 1 ? without.substr(0, without.rfind('_')) : "";
  for (const std::string& table : tables) {
    std::vector<double> errors;
    bool found = false;
    for (const ValidationRow& row : rows) {
      if (row.id.substr(0, row.id.rfind('_')) != table) continue;
      found = true;
      if (row.quantity != "allreduce_us" || table == own || row.id == without) continue;
      if (std::none_of(row.set.begin(), row.set.end(), large)) continue;
      errors.push_back(std::log(row.published / validate_row(row, paths.data, {}, false).predicted));
    }
    if (!found)
      throw ConfigError((paths.data / "model_error.toml").string(), key,
                        "no table \"" + table + "\" in published/nccl_tables.csv");
    count += errors.size();
    if (!errors.empty()) groups.push_back(std::move(errors));
  }
  return band_of_groups(groups,
                        fmt::format("{} bare allreduces {} in {} tables (nccl-tests)", count, where, groups.size()));
}

}  // namespace

ErrorBand band_of(const std::vector<double>& errors, std::string source) {
  const auto n = static_cast<double>(errors.size());
  if (n < 2) return {};
  double mean = 0, squares = 0;
  for (const double e : errors) mean += e / n;
  for (const double e : errors) squares += (e - mean) * (e - mean);
  const double half = student(n - 1) * std::sqrt(squares / (n - 1) * (1 + 1 / n));
  return {std::min(0.0, mean - half), std::max(0.0, mean + half), std::move(source)};
}

ErrorBand band_of_groups(const std::vector<std::vector<double>>& groups, std::string source) {
  if (groups.empty()) return {};
  if (groups.size() == 1) return band_of(groups.front(), std::move(source));
  const auto g = static_cast<double>(groups.size());
  std::vector<double> means;
  double mean = 0, within = 0, members = 0, inverse = 0;
  for (const std::vector<double>& group : groups) {
    const auto n = static_cast<double>(group.size());
    means.push_back(std::accumulate(group.begin(), group.end(), 0.0) / n);
    for (const double e : group) within += (e - means.back()) * (e - means.back());
    mean += means.back() / g;
    members += n;
    inverse += 1 / n / g;
  }
  double between = 0;
  for (const double m : means) between += (m - mean) * (m - mean) / (g - 1);
  if (members > g) within /= members - g;
  const double half = student(g - 1) * std::sqrt(between * (1 + 1 / g) + within * (1 - inverse));
  return {std::min(0.0, mean - half), std::max(0.0, mean + half), std::move(source)};
}

ModelError read_model_error(const DataPaths& paths, const Inputs& inputs, const std::string& without) {
  const Stated stated = read_stated(paths);
  const ClusterRef& cluster = inputs.run.cluster;
  ModelError out;
  const double run = kSigmas * stated.run_to_run.value;
  out.run_to_run = {-run, run, stated.run_to_run.source};
  out.unanchored = {std::log(1 - stated.unanchored.value), std::log(1 + stated.unanchored.value),
                    stated.unanchored.source};
  if (!inputs.gpu.anchors.empty()) {
    const SeriesErrors errors = errors_of(stated.series, paths);
    out.batch = band_of(errors.per_halving, fmt::format("{} rows of single_gpu_series.csv", errors.per_halving.size()));
    out.network = band_of(errors.network, fmt::format("{} rows of single_gpu_series.csv", errors.network.size()));
    if (!cluster.same_software || cluster.framework.empty())
      out.software = software_band(paths, inputs.gpu, cluster.framework);
    if (release_of(cluster.framework)) out.drift = drift_band(paths);
    out.beyond = beyond_band(inputs.gpu, inputs.run.training.precision, cluster.framework);
  }
  if (cluster.gpus == 1) return out;
  const std::vector<ValidationRow> rows = read_validation(paths.data);
  const NodeSpec& node = inputs.cluster.node;
  if (cluster.gpus > node.gpus) {
    out.collective = collective_band(paths, rows, stated.between_nodes, without, "between_nodes", "between nodes");
  } else if (!node.nvlink.present && !node.pcie.switches.empty()) {
    std::vector<std::string> tables = stated.without_nvlink;
    tables.insert(tables.end(), stated.inside_a_node.begin(), stated.inside_a_node.end());
    out.collective =
        collective_band(paths, rows, tables, without, "without_nvlink", "inside a node, with and without NVLink,");
  } else {
    out.collective = collective_band(paths, rows, stated.inside_a_node, without, "inside_a_node", "inside a node");
  }
  return out;
}

}  // namespace lockstep
