// Throughput against batch with the GPU files that the program ships: frozen, and held against what others published. One value is fitted, over all GPUs.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/model/zoo.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "sim/device/gpu_model.hpp"

namespace lockstep::sim {
namespace {

const DataPaths kPaths{std::string(LOCKSTEP_SOURCE_DIR) + "/data"};
constexpr double kDrift = 0.001;

struct Golden {
  std::int64_t batch;
  double images_per_second;
};

void expect_golden(const GpuModel& model, const std::string& name, std::initializer_list<Golden> series) {
  const ModelGraph graph = fuse(build_model(name));
  for (const Golden& g : series) {
    EXPECT_NEAR(model.images_per_second(graph, g.batch) / g.images_per_second, 1, kDrift)
        << "batch " << g.batch << ": " << model.images_per_second(graph, g.batch);
  }
}

TEST(GpuSeries, V100HalfPrecisionIsFrozen) {
  expect_golden(GpuModel(read_gpu("v100-sxm2-16gb", kPaths), Precision::Fp16, "mxnet-20.12"), "resnet50",
                {{16, 928.6},
                 {32, 1128.8},
                 {40, 1179.7},
                 {42, 1190.0},
                 {64, 1265.3},
                 {128, 1346.6},
                 {192, 1376.0},
                 {208, 1380.6}});
}

TEST(GpuSeries, V100SinglePrecisionIsFrozen) {
  // Published (MXNet 1.2): 34.5, 65.0, 113.5, 174.8, 251.2, 298.5, 343.2, 363.7: errors -3, -5, -6, -4, -6, -1, -2, 0 %.
  expect_golden(GpuModel(read_gpu("v100-sxm2-16gb", kPaths), Precision::Fp32, "apache-mxnet-1.2"), "resnet50_v1",
                {{1, 33.44}, {2, 61.72}, {4, 106.8}, {8, 168.1}, {16, 235.7}, {32, 295.1}, {64, 337.5}, {128, 363.7}});
}

TEST(GpuSeries, MoreWorkNeverTakesLess) {
  // Weights are read once, however many waves a small batch wastes: neither a smaller batch nor a smaller image may cost more. (At 224 pixels shapes
  // are measured, below them fitted: 192 comes out 16 % above 224 at one image of fp32.)
  for (const char* name : {"v100-sxm2-16gb", "h100-sxm5-80gb", "p100-sxm2-16gb"}) {
    const GpuModel model(read_gpu(name, kPaths), Precision::Fp32, "");
    const auto step = [&](int image, std::int64_t batch) {
      Time sum;
      for (const LayerTime& t : model.layer_times(fuse(build_model("resnet50", image)), batch))
        sum += t.forward + t.backward;
      return sum;
    };
    for (std::int64_t batch = 1; batch <= 64; batch *= 2)
      EXPECT_LE(step(224, batch), step(224, 2 * batch)) << name << " " << batch;
    for (int image = 32; image <= 160; image += 32)
      EXPECT_LE(step(image, 1), step(image + 32, 1)) << name << " " << image;
  }
}

TEST(GpuSeries, BareModelAgainstEveryAnchor) {
  // Anchor factor: how much slower the published run is than the bare model. Above 1.5 or below 0.8 the bare model would be wrong, not rough.
  for (const char* gpu : {"v100-sxm2-16gb", "v100-sxm2-32gb", "v100-sxm3-32gb", "v100-pcie-16gb", "p100-sxm2-16gb",
                          "p100-pcie-16gb", "p40"}) {
    const GpuSpec spec = read_gpu(gpu, kPaths);
    for (const Anchor& a : spec.anchors) {
      const GpuModel model(spec, a.precision, a.framework);
      // 803 images/s, where the same framework a year later reaches 1,200: slow software (presumably NCHW, which fp16 convolutions transpose), so no
      // measure of the bare model.
      if (a.framework == "ngc-pytorch-20.03" && a.precision == Precision::Fp16) continue;
      EXPECT_GT(model.anchor_factor(), 0.8) << gpu << " " << a.framework;
      EXPECT_LT(model.anchor_factor(), 1.5) << gpu << " " << a.framework;
    }
  }
}

TEST(GpuSeries, BackwardOverForwardFromThirtyTwoImages) {
  // PipeDream's 1.9 (128 images) to DeepBench's 2.8 (16). At 8 and 16 images the model falls to 1.84 and 1.89, where DeepBench's tensor rows rise to 2.7: the
  // tails of backward kernels are taken as long as the forward pass's, which is too short.
  for (const Precision p : {Precision::Fp16, Precision::Fp32}) {
    const GpuModel model(read_gpu("v100-sxm2-16gb", kPaths), p, "");
    for (const std::int64_t batch : {32, 64, 192, 256}) {
      Time forward, backward;
      for (const LayerTime& t : model.layer_times(fuse(build_model("resnet50")), batch))
        forward += t.forward, backward += t.backward;
      EXPECT_GT(backward / forward, 1.9) << batch;
      EXPECT_LT(backward / forward, 2.8) << batch;
    }
  }
}

// ---- The series over batch -------------------------------------------------------------------------------------------------------------

/// Published throughputs of one (GPU, framework) over batch; the largest batch is the anchor, the others are predicted.
struct Series {
  std::string name;
  GpuSpec gpu;
  ModelGraph graph;
  std::vector<std::pair<std::int64_t, double>> rows;  // batch, images/s; the largest batch last
};

/// GM204 with 16 multiprocessors, 4.82 TFLOP/s, 160 GB/s of which 70 % are reached (recalled): it has no GPU file, its series tests the model.
GpuSpec m60() {
  GpuSpec g = read_gpu("k80", kPaths);
  g.multiprocessors = Sourced(16);
  g.fp32_peak = Sourced(FlopRate::teraflops(4.82));
  g.memory_achieved = Sourced(Bandwidth::gigabytes_per_second(112));
  return g;
}

std::vector<Series> all_series() {
  const CsvTable t = read_csv(kPaths.data.string() + "/published/single_gpu_series.csv");
  std::vector<Series> out;
  const auto add = [&](const char* gpu, const char* framework, GpuSpec spec, const char* model) {
    Series s{std::string(gpu) + " " + framework, std::move(spec), fuse(build_model(model)), {}};
    std::map<std::int64_t, double> rows;  // synthetic data comes first in the file
    for (std::size_t r = 0; r < t.rows(); ++r) {
      if (t.text(r, "gpu") == gpu && t.text(r, "framework") == framework && t.text(r, "model") == "ResNet-50")
        rows.emplace(t.whole(r, "batch"), t.number(r, "images_per_s"));
    }
    s.rows.assign(rows.begin(), rows.end());
    s.gpu.anchors = {{"series", model, Precision::Fp32, s.rows.back().first, Sourced(s.rows.back().second)}};
    out.push_back(std::move(s));
  };
  const GpuSpec v100 = read_gpu("v100-sxm2-16gb", kPaths), p100 = read_gpu("p100-sxm2-16gb", kPaths),
                k80 = read_gpu("k80", kPaths);
  add("V100 (p3.2xlarge)", "MXNet 1.2.0.rc1 cuDNN 7.0.5", v100, "resnet50_v1");
  add("V100", "PyTorch", v100, "resnet50");
  add("P100 (DGX-1)", "TensorFlow (May 2017)", p100, "resnet50");
  add("P100", "PyTorch", p100, "resnet50");
  add("K80", "MXNet 1.2.0.rc1", k80, "resnet50");
  add("K80 (GCE)", "TensorFlow (May 2017)", k80, "resnet50");
  add("K80", "PyTorch", k80, "resnet50");
  add("M60", "MXNet 1.2.0.rc1", m60(), "resnet50");
  return out;
}

/// Root mean square of ln(predicted / published) over all batches but the anchor's.
double rms(Series& s, double tail_waves, bool small_batch = true) {
  s.gpu.tail_waves = Sourced(tail_waves);
  const GpuModel model(s.gpu, Precision::Fp32, "series", small_batch);
  double sum = 0;
  for (std::size_t i = 0; i + 1 < s.rows.size(); ++i) {
    const double e = std::log(model.images_per_second(s.graph, s.rows[i].first) / s.rows[i].second);
    sum += e * e;
  }
  return std::sqrt(sum / static_cast<double>(s.rows.size() - 1));
}

TEST(GpuSeries, OneNumberOfLostWavesForAllGpus) {
  // tail_waves of data/gpus is the least-squares value over all series, each with equal weight; a series is judged by the fit to the other seven.
  // Without the model: 0.39, 0.25, 0.06, 0.16, 0.53, 0.04, 0.14, 0.50.
  std::vector<Series> series = all_series();
  ASSERT_EQ(series.size(), 8u);
  std::vector<double> waves;
  for (int i = 72; i <= 120; i += 4) waves.push_back(i / 100.0);
  std::vector<std::vector<double>> errors;
  for (Series& s : series) {
    auto& e = errors.emplace_back();
    for (const double w : waves) e.push_back(rms(s, w));
  }
  const auto fitted = [&](std::size_t without) {
    std::size_t best = 0;
    double least = 1e9;
    for (std::size_t k = 0; k < waves.size(); ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < series.size(); ++i) sum += i == without ? 0 : errors[i][k] * errors[i][k];
      if (sum < least) least = sum, best = k;
    }
    return best;
  };
  EXPECT_NEAR(waves[fitted(series.size())], read_gpu("v100-sxm2-16gb", kPaths).tail_waves.value, 0.021);
  const double frozen[] = {0.085, 0.100, 0.021, 0.104, 0.025, 0.012, 0.076, 0.048};
  for (std::size_t i = 0; i < series.size(); ++i) {
    const std::size_t k = fitted(i);
    EXPECT_GE(waves[k], 0.87) << series[i].name;
    EXPECT_LE(waves[k], 1.01) << series[i].name;
    EXPECT_NEAR(errors[i][k], frozen[i], 0.003) << series[i].name;
    EXPECT_LT(errors[i][k], rms(series[i], 0, false)) << series[i].name;
  }
}

TEST(GpuSeries, EveryGpuFileHasTheSameLostWaves) {
  const double value = read_gpu("v100-sxm2-16gb", kPaths).tail_waves.value;
  for (const char* gpu :
       {"a100-sxm4-40gb", "a100-sxm4-80gb", "h100-sxm5-80gb", "h200-sxm-141gb", "k80", "p100-pcie-16gb",
        "p100-sxm2-16gb", "p40", "v100-pcie-16gb", "v100-sxm2-32gb", "v100-sxm3-32gb", "template"}) {
    EXPECT_EQ(read_gpu(gpu, kPaths).tail_waves.value, value) << gpu;
    EXPECT_GT(read_gpu(gpu, kPaths).multiprocessors.value, 0) << gpu;
  }
}

}  // namespace
}  // namespace lockstep::sim
