#include <fmt/format.h>

#include <algorithm>

#include "core/spec/releases.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/config_io/find_file.hpp"
#include "experiments/config_io/reader.hpp"

namespace lockstep {

namespace {

constexpr double kMostSeconds = 1e6;  // of one kernel; far inside what a Time holds

template <class T>
void read_positive(ConfigTable& t, const std::string& key, Sourced<T>& out, const std::string& example) {
  t.require(key, example);
  t.read(key, out);
  if (t.has(key) && !(out.value > T{})) t.fault(key, "is 0; expected more, such as " + example);
}

void read_share(ConfigTable& t, const std::string& key, Sourced<double>& out) {
  t.read(key, out);
  if (!(out.low >= 0 && out.high < 1)) t.fault(key, "is out of range; expected a relative sigma, 0 <= sigma < 1");
}

Anchor read_anchor(ConfigTable t) {
  Anchor anchor;
  t.require("framework", "a name such as \"mxnet-20.12\"");
  t.require("model", "a model such as \"resnet50\"");
  t.require("precision", "fp32, tf32, fp16 or bf16");
  t.require("batch", "images per GPU");
  t.read("framework", anchor.framework);
  t.read("model", anchor.model);
  t.read("precision", anchor.precision);
  t.read("batch", anchor.batch);
  if (t.has("batch") && anchor.batch < 1) t.fault("batch", "expected at least 1 image");
  std::string layout = "nhwc";
  t.read("layout", layout);
  if (layout != "nhwc" && layout != "nchw") t.fault("layout", "expected nhwc or nchw");
  anchor.channels_first = layout == "nchw";
  read_positive(t, "images_per_second", anchor.images_per_second, "the throughput of one GPU");
  return anchor;
}

/// Rows of data/measured: one shape at one batch; an empty time was not measured.
std::vector<ConvTiming> read_convolutions(const std::filesystem::path& path) {
  const CsvTable table = read_csv(path, {"precision", "n", "c", "h", "w", "k", "r", "s", "stride", "pad_h", "pad_w",
                                         "forward_ms", "backward_data_ms", "backward_weight_ms"});
  std::vector<Fault> faults;
  std::vector<ConvTiming> out;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    try {
      ConvTiming& conv = out.emplace_back();
      const auto precision = value_of<Precision>(table.text(row, "precision"));
      if (!precision)
        throw ConfigError(table.where(row, "precision"), "precision",
                          unknown_word(table.text(row, "precision"), all_words<Precision>()));
      conv.precision = *precision;
      const auto at_least = [&](const char* column, int least) {
        const int value = table.whole(row, column);
        if (value < least)
          throw ConfigError(table.where(row, column), column,
                            fmt::format("{} is out of range; expected {} or more", value, least));
        return value;
      };
      const auto time = [&](const char* column) {
        const double ms = table.number_if_any(row, column).value_or(0);
        if (!(ms >= 0 && ms <= kMostSeconds * 1e3))
          throw ConfigError(table.where(row, column), column,
                            fmt::format("{} ms is out of range; expected 0 to {}", ms, kMostSeconds * 1e3));
        return Time::milliseconds(ms);
      };
      conv.n = at_least("n", 1);
      conv.c = at_least("c", 1);
      conv.h = at_least("h", 1);
      conv.w = at_least("w", 1);
      conv.k = at_least("k", 1);
      conv.r = at_least("r", 1);
      conv.s = at_least("s", 1);
      conv.stride = at_least("stride", 1);
      conv.pad_h = at_least("pad_h", 0);
      conv.pad_w = at_least("pad_w", 0);
      conv.forward = time("forward_ms");
      conv.backward_data = time("backward_data_ms");
      conv.backward_weight = time("backward_weight_ms");
    } catch (const ConfigError& error) {
      faults.insert(faults.end(), error.faults().begin(), error.faults().end());
    }
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return out;
}

/// Rows of a profile: one operation of one model at one batch.
std::vector<ProfileRow> read_profile(const std::filesystem::path& path) {
  const CsvTable table =
      read_csv(path, {"model", "image_size", "precision", "batch", "operation", "forward_us", "backward_us"});
  std::vector<ProfileRow> out;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    ProfileRow& p = out.emplace_back();
    p.model = table.text(row, "model");
    p.image_size = table.whole(row, "image_size");
    const auto precision = value_of<Precision>(table.text(row, "precision"));
    if (!precision)
      throw ConfigError(table.where(row, "precision"), "precision",
                        unknown_word(table.text(row, "precision"), all_words<Precision>()));
    p.precision = *precision;
    p.batch = table.whole(row, "batch");
    p.operation = table.text(row, "operation");
    const auto time = [&](const char* column) {
      const double us = table.number_if_any(row, column).value_or(0);
      if (!(us >= 0 && us <= kMostSeconds * 1e6))
        throw ConfigError(table.where(row, column), column,
                          fmt::format("{} us is out of range; expected 0 to {}", us, kMostSeconds * 1e6));
      return Time::microseconds(us);
    };
    p.forward = time("forward_us");
    p.backward = time("backward_us");
    if (p.batch < 1) throw ConfigError(table.where(row, "batch"), "batch", "expected at least 1 image");
  }
  return out;
}

}  // namespace

GpuSpec read_gpu(const std::string& name, const DataPaths& paths, const AskedBy& asked, const LaidOver& over) {
  const std::filesystem::path path = find_file(name, paths, "gpus", "GPU", asked);
  Reader reader(path, over);
  GpuSpec gpu;
  gpu.name = path.stem().string();
  ConfigTable root = reader.root();
  root.read("title", gpu.title);
  root.read("compute_capability", gpu.compute_capability);
  if (const int c = gpu.compute_capability; c != 0 && (c < 20 || c > 999))
    root.fault("compute_capability",
               fmt::format("{}; expected 10 x major + minor, such as 70 for 7.0, or 0 for a processor", c));
  read_positive(root, "fp32_peak", gpu.fp32_peak, "\"15.7TFLOPS\"");
  read_positive(root, "half_peak", gpu.half_peak, "\"125TFLOPS\"");
  read_positive(root, "memory", gpu.memory, "\"16GiB\"");
  read_positive(root, "memory_peak", gpu.memory_peak, "\"900GBps\"");
  read_positive(root, "memory_achieved", gpu.memory_achieved, "\"790GBps\"");
  root.read("multiprocessors", gpu.multiprocessors);
  if (gpu.multiprocessors.low < 0) root.fault("multiprocessors", "is negative; expected a count, 0 for a processor");
  root.read("tail_waves", gpu.tail_waves);
  if (!(gpu.tail_waves.low >= 0 && gpu.tail_waves.high <= 10))
    root.fault("tail_waves", "is out of range; expected waves per kernel, 0 to 10");
  root.read("kernel_gap", gpu.kernel_gap);
  root.read("dispatch", gpu.dispatch);
  read_share(root, "step_jitter", gpu.step_jitter);
  read_share(root, "gpu_spread", gpu.gpu_spread);
  for (ConfigTable& anchor : root.tables("anchor")) {
    gpu.anchors.push_back(read_anchor(anchor));
    const Anchor& last = gpu.anchors.back();
    const std::string product = product_of(last.framework);
    // Releases of one product stand for each other, layouts do not.
    if (std::any_of(gpu.anchors.begin(), gpu.anchors.end(), [&](const Anchor& a) {
          return product_of(a.framework) == product && a.channels_first != last.channels_first;
        }))
      anchor.fault("layout",
                   fmt::format("{} is in the other layout too; expected a name of its own, such as \"{}-nchw-YY.MM\"",
                               product, product));
  }
  const auto table = [&](const std::string& key, auto&& read) {
    std::string file;
    root.read(key, file);
    if (file.empty()) return;
    const std::filesystem::path csv = (path.parent_path() / file).lexically_normal();
    if (std::filesystem::is_regular_file(csv)) {
      reader.add_elsewhere([&] { read(csv); });
    } else {
      root.fault(key, fmt::format("no such file \"{}\" (relative to this one)", file));
    }
  };
  table("convolutions", [&](const std::filesystem::path& csv) { gpu.convolutions = read_convolutions(csv); });
  root.read("convolutions_source", gpu.convolutions_source);
  table("profile", [&](const std::filesystem::path& csv) { gpu.profile = read_profile(csv); });
  root.read("profile_source", gpu.profile_source);
  reader.report_unknown_keys();
  reader.finish();
  return gpu;
}

}  // namespace lockstep
