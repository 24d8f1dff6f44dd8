// Throughput against batch with the GPU files that the program ships: frozen, and held against what others published. Nothing is fitted to it.
#include <gtest/gtest.h>

#include <cmath>

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
                {{16, 1085.9},
                 {32, 1228.7},
                 {40, 1261.4},
                 {42, 1267.7},
                 {64, 1313.4},
                 {128, 1360.1},
                 {192, 1376.0},
                 {208, 1378.5}});
}

TEST(GpuSeries, V100SinglePrecisionIsFrozen) {
  // Published (MXNet 1.2): 34.5, 65.0, 113.5, 174.8, 251.2, 298.5, 343.2, 363.7: errors +88, +73, +55, +40, +20, +12, +3, 0 %.
  expect_golden(GpuModel(read_gpu("v100-sxm2-16gb", kPaths), Precision::Fp32, "mxnet-1.2"), "resnet50_v1",
                {{1, 64.8}, {2, 112.2}, {4, 175.8}, {8, 244.3}, {16, 301.8}, {32, 334.5}, {64, 353.4}, {128, 363.7}});
}

TEST(GpuSeries, BareModelAgainstEveryAnchor) {
  // Anchor factor: how much slower the published run is than the bare model. Above 1.5 or below 0.8 the bare model would be wrong, not rough.
  for (const char* gpu : {"v100-sxm2-16gb", "v100-sxm2-32gb", "v100-sxm3-32gb", "p100-sxm2-16gb"}) {
    const GpuSpec spec = read_gpu(gpu, kPaths);
    for (const Anchor& a : spec.anchors) {
      const GpuModel model(spec, a.precision, a.framework);
      EXPECT_GT(model.anchor_factor(), 0.8) << gpu << " " << a.framework;
      EXPECT_LT(model.anchor_factor(), 1.5) << gpu << " " << a.framework;
    }
  }
}

TEST(GpuSeries, BackwardOverForwardFromEightImages) {
  // PipeDream's 1.9 to DeepBench's 2.8. Below eight images latency rules and half precision leaves the range (3.2 at one image).
  for (const Precision p : {Precision::Fp16, Precision::Fp32}) {
    const GpuModel model(read_gpu("v100-sxm2-16gb", kPaths), p, "");
    for (const std::int64_t batch : {8, 32, 64, 192, 256}) {
      Time forward, backward;
      for (const LayerTime& t : model.layer_times(fuse(build_model("resnet50")), batch))
        forward += t.forward, backward += t.backward;
      EXPECT_GT(backward / forward, 1.9) << batch;
      EXPECT_LT(backward / forward, 2.8) << batch;
    }
  }
}

/// Largest |predicted / published - 1| over the rows of one series with at least `from` images. Checks the number of rows.
double worst_error(const GpuModel& model, const std::string& zoo, const std::string& gpu, const std::string& framework,
                   int from, int rows) {
  const CsvTable t = read_csv(kPaths.data.string() + "/published/single_gpu_series.csv");
  const ModelGraph graph = fuse(build_model(zoo));
  double worst = 0;
  int found = 0;
  for (std::size_t r = 0; r < t.rows(); ++r) {
    if (t.text(r, "gpu") != gpu || t.text(r, "framework") != framework || t.text(r, "model") != "ResNet-50") continue;
    if (t.whole(r, "batch") < from) continue;
    ++found;
    worst = std::max(worst,
                     std::abs(model.images_per_second(graph, t.whole(r, "batch")) / t.number(r, "images_per_s") - 1));
  }
  EXPECT_EQ(found, rows);
  return worst;
}

TEST(GpuSeries, AgainstPublished) {
  // The anchor fixes one batch; 10 % at half that batch and more is what a planner needs of the slope. Smaller batches are missed by more
  // (the published steps carry about 25 ms of fixed cost in a straight-line fit, the model 12): frozen above, not excused here.
  const GpuModel mxnet(read_gpu("v100-sxm2-16gb", kPaths), Precision::Fp32, "mxnet-1.2");
  EXPECT_LT(worst_error(mxnet, "resnet50_v1", "V100 (p3.2xlarge)", "MXNet 1.2.0.rc1 cuDNN 7.0.5", 64, 2), 0.10);
  const GpuModel tensorflow(read_gpu("p100-sxm2-16gb", kPaths), Precision::Fp32, "tensorflow-2017");
  EXPECT_LT(worst_error(tensorflow, "resnet50", "P100 (DGX-1)", "TensorFlow (May 2017)", 32, 4), 0.10);
}

}  // namespace
}  // namespace lockstep::sim
