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
  std::vector<std::string> between_nodes;  ///< tables of nccl_tables.csv
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
  root.require("between_nodes", "names of tables in published/nccl_tables.csv");
  root.read("between_nodes", out.between_nodes);
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

/// Squares and degrees of freedom of the anchors' factors around the mean of their precision.
struct Scatter {
  double squares = 0;
  int degrees = 0;
  /// The anchors of one framework, or of all (`product` empty).
  void add(const GpuSpec& gpu, const std::string& product = "") {
    std::map<Precision, std::vector<double>> factors;
    for (const Anchor& a : gpu.anchors) {
      if (!product.empty() && product_of(a.framework) != product) continue;
      GpuSpec one = gpu;
      one.anchors = {a};
      factors[a.precision].push_back(std::log(sim::GpuModel(one, a.precision, "").anchor_factor()));
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
  for (const std::string& name : stems(paths, "gpus")) {
    if (name == "template") continue;
    const GpuSpec other = read_gpu(name, paths);
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
  for (const std::string& name : stems(paths, "gpus")) {
    if (name == "template") continue;
    const GpuSpec gpu = read_gpu(name, paths);
    std::map<std::pair<Precision, std::string>, std::map<double, double>> factors;
    for (const Anchor& a : gpu.anchors) {
      const auto release = release_of(a.framework);
      if (!release) continue;
      GpuSpec one = gpu;
      one.anchors = {a};
      factors[{a.precision, release->product}][release->years] =
          std::log(sim::GpuModel(one, a.precision, "").anchor_factor());
    }
    for (const auto& [key, over_years] : factors) {
      for (auto next = over_years.begin(), last = next++; next != over_years.end(); last = next++) {
        const double d = next->second - last->second;
        squares.push_back(d * d / (next->first - last->first));
      }
    }
  }
  if (squares.empty()) return {};
  const auto n = static_cast<double>(squares.size());
  const double half = student(n) * std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0) / n);
  return {-half, half, fmt::format("{} pairs of releases that follow each other, data/gpus", squares.size())};
}

/// The table that a row belongs to: "a100x8" of "a100x8_1048576".
std::string table_of(const ValidationRow& row) { return row.id.substr(0, row.id.rfind('_')); }

void check_tables(const DataPaths& paths, const std::vector<std::string>& tables) {
  const std::vector<ValidationRow> rows = read_validation(paths.data);
  for (const std::string& table : tables) {
    if (std::none_of(rows.begin(), rows.end(), [&](const ValidationRow& row) { return table_of(row) == table; }))
      throw ConfigError((paths.data / "model_error.toml").string(), "between_nodes",
                        "no table \"" + table + "\" in published/nccl_tables.csv");
  }
}

/// `tables` empty: the counted rows, which are inside a node.
ErrorBand collective_band(const DataPaths& paths, const std::vector<std::string>& tables, const std::string& without) {
  std::vector<double> errors;
  for (const ValidationRow& row : read_validation(paths.data)) {
    const bool asked =
        tables.empty() ? row.counted : std::find(tables.begin(), tables.end(), table_of(row)) != tables.end();
    if (row.quantity != "allreduce_us" || !asked || row.id == without) continue;
    const auto large = [](const std::string& set) {
      return set.rfind("bytes=", 0) == 0 && std::stoll(set.substr(6)) >= kLarge;
    };
    if (std::none_of(row.set.begin(), row.set.end(), large)) continue;
    errors.push_back(std::log(row.published / validate_row(row, paths.data, {}, false).predicted));
  }
  return band_of(errors, fmt::format("{} bare allreduces {} (nccl-tests)", errors.size(),
                                     tables.empty() ? "inside a node" : "between nodes"));
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

ModelError read_model_error(const DataPaths& paths, const Inputs& inputs, const std::string& without) {
  const Stated stated = read_stated(paths);
  ModelError out;
  const double run = kSigmas * stated.run_to_run.value;
  out.run_to_run = {-run, run, stated.run_to_run.source};
  out.unanchored = {std::log(1 - stated.unanchored.value), std::log(1 + stated.unanchored.value),
                    stated.unanchored.source};
  if (!inputs.gpu.anchors.empty()) {
    const SeriesErrors errors = errors_of(stated.series, paths);
    out.batch = band_of(errors.per_halving, fmt::format("{} rows of single_gpu_series.csv", errors.per_halving.size()));
    out.network = band_of(errors.network, fmt::format("{} rows of single_gpu_series.csv", errors.network.size()));
    const auto& cluster = inputs.run.cluster;
    if (!cluster.same_software || cluster.framework.empty())
      out.software = software_band(paths, inputs.gpu, cluster.framework);
    if (release_of(cluster.framework)) out.drift = drift_band(paths);
  }
  const bool packed = inputs.run.cluster.placement == "packed";
  if (inputs.run.cluster.gpus > (packed ? inputs.cluster.node.gpus : 1)) {
    check_tables(paths, stated.between_nodes);
    out.collective = collective_band(paths, stated.between_nodes, without);
  } else if (inputs.run.cluster.gpus > 1) {
    out.collective = collective_band(paths, {}, without);
  }
  return out;
}

}  // namespace lockstep
