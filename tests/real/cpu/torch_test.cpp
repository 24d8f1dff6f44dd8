// Whole networks against PyTorch in float64: every layer kind, forward and backward, with the same weights and images.
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/rng.hpp"
#include "core/model/zoo.hpp"
#include "real/cpu/network.hpp"
#include "real/tensors/initialise.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string word(LayerKind kind) {
  switch (kind) {
    case LayerKind::Input: return "input";
    case LayerKind::Conv: return "conv";
    case LayerKind::BatchNorm: return "norm";
    case LayerKind::Relu: return "relu";
    case LayerKind::Add: return "add";
    case LayerKind::MaxPool: return "maxpool";
    case LayerKind::AvgPool: return "avgpool";
    case LayerKind::Lrn: return "lrn";
    case LayerKind::Dropout: return "dropout";
    case LayerKind::Linear: return "linear";
    case LayerKind::SoftmaxCrossEntropy: return "loss";
  }
  return "?";
}

std::string word(TensorRole role) {
  switch (role) {
    case TensorRole::Weight: return "weight";
    case TensorRole::Bias: return "bias";
    case TensorRole::Gamma: return "gamma";
    case TensorRole::Beta: return "beta";
  }
  return "?";
}

std::string json_of(const ModelGraph& g, std::int64_t images, double smoothing) {
  std::string out = fmt::format(R"({{"images": {}, "smoothing": {}, "input": [{}, {}, {}], "layers": [)", images,
                                smoothing, g.input().c, g.input().h, g.input().w);
  for (const Layer& l : g.layers) {
    std::string inputs;
    for (LayerId i : l.inputs) inputs += fmt::format("{}{}", inputs.empty() ? "" : ", ", i.value);
    out += fmt::format(
        R"({}{{"id": {}, "name": "{}", "kind": "{}", "inputs": [{}], "r": {}, "stride": {}, "pad": {}, "groups": {}, "add": {}, "relu": {}}})",
        l.id.value == 0 ? "" : ",\n", l.id.value, l.name, word(l.kind), inputs, l.r, l.stride, l.pad, l.groups,
        l.fused_add ? "true" : "false", l.fused_relu ? "true" : "false");
  }
  out += "], \"tensors\": [";
  for (const ParamTensor& t : g.tensors) {
    std::string dims;
    for (auto d : t.dims) dims += fmt::format("{}{}", dims.empty() ? "" : ", ", d);
    out += fmt::format(R"({}{{"name": "{}", "layer": {}, "role": "{}", "dims": [{}]}})", t.id.value == 0 ? "" : ",\n",
                       t.name, t.layer.value, word(t.role), dims);
  }
  return out + "]}";
}

template <class T>
void put(const fs::path& path, std::span<const T> values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
}

std::vector<double> get(const fs::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  std::vector<double> out(static_cast<std::size_t>(in.tellg()) / sizeof(double));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size() * sizeof(double)));
  return out;
}

/// Error of `got` relative to the size of `truth`, in the root mean square over the tensor.
double error(std::span<const float> got, const std::vector<double>& truth) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    difference += (got[i] - truth[i]) * (got[i] - truth[i]);
    size += truth[i] * truth[i];
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

struct Case {
  std::string model;
  int image_size;
  std::int64_t images;
  bool fused;
  Precision precision;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " x " << c.images << (c.fused ? " fused" : ""); }

class AgainstPyTorchSlow : public testing::TestWithParam<Case> {};

// A value near 0 before a ReLU, or two near equals below a maximum, may round to either side: then gradients differ by far more than a rounding.
// So fp32 is judged by how far PyTorch's own float32 is from its float64 on the same network: at most 4 times as far, or 5e-5: some 800 roundings
// of 2^-24. In bf16 (8 bits)
// the whole gradient must point the same way: within 0.3 of its length. A wrong formula errs by about 1.
TEST_P(AgainstPyTorchSlow, LossGradientsAndMovingAverages) {
  if (std::system("/usr/bin/python3 -c 'import torch' 2>/dev/null") != 0)
    GTEST_SKIP() << "/usr/bin/python3 has no torch (Debian: python3-torch)";
  const Case& c = GetParam();
  ModelGraph built = build_model(c.model, c.image_size, 10);
  for (Layer& l : built.layers) {
    if (l.kind == LayerKind::Dropout)
      l.kind = LayerKind::Relu;  // random; of values that are not negative a ReLU changes nothing
  }
  const auto graph = std::make_shared<const ModelGraph>(c.fused ? fuse(built) : built);
  const fs::path directory =
      fs::path(testing::TempDir()) /
      fmt::format("torch_{}_{}_{}_{}_{}", getpid(), c.model, c.images, c.fused, static_cast<int>(c.precision));
  fs::remove_all(directory);
  fs::create_directories(directory);

  TensorSet weights(*graph), gradients(*graph);
  initialise(*graph, 5, {}, weights);
  Rng rng(6, "network test");
  for (const ParamTensor& t : graph->tensors) {
    // Biases and norms off their special values, so that an error in them shows.
    if (t.role != TensorRole::Weight) {
      for (float& v : weights[t.id]) v += static_cast<float>(0.1 * rng.normal());
    }
    put(directory / (t.name + ".f32"), std::span<const float>(weights[t.id]));
  }
  NormStatistics statistics(*graph);
  NetworkOptions options;
  options.precision = c.precision;
  options.threads = 2;
  options.label_smoothing = 0.1;
  Network network(graph, c.images, options, statistics);
  for (float& v : network.input()) v = static_cast<float>(rng.normal());
  for (auto& label : network.labels()) label = static_cast<std::int32_t>(rng.below(10));
  if (c.images > 2) network.labels()[1] = -1;
  put(directory / "input.f32", std::span<const float>(network.input()));
  put(directory / "labels.i32", std::span<const std::int32_t>(network.labels()));
  std::ofstream(directory / "graph.json") << json_of(*graph, c.images, options.label_smoothing);
  ASSERT_EQ(std::system(fmt::format("/usr/bin/python3 {}/tests/real/cpu/torch_reference.py {}", LOCKSTEP_SOURCE_DIR,
                                    directory.string())
                            .c_str()),
            0);

  network.load_weights(weights);
  for (const bool add : {false, true}) {  // the second pass adds to the first
    network.begin(0);
    for (const Layer& l : graph->layers) network.forward(l.id);
    for (auto l = graph->layers.rbegin(); l != graph->layers.rend(); ++l) network.backward(l->id, gradients, add);
    if (!add) {
      const double loss = get(directory / "loss.f64")[0];
      const double tolerance = c.precision == Precision::Fp32 ? 1e-4 : 0.02;
      EXPECT_NEAR(network.result().loss, loss, tolerance * loss);
      for (const Layer& l : graph->layers) {
        if (l.kind != LayerKind::BatchNorm) continue;
        EXPECT_LT(error(statistics.mean(l.id), get(directory / (l.name + ".mean.f64"))), tolerance) << l.name;
        EXPECT_LT(error(statistics.variance(l.id), get(directory / (l.name + ".variance.f64"))), tolerance) << l.name;
      }
    }
    double difference = 0, size = 0;
    for (const ParamTensor& t : graph->tensors) {
      std::vector<double> truth = get(directory / (t.name + ".grad.f64"));
      for (double& v : truth) v *= add ? 2 : 1;
      if (c.precision == Precision::Fp32) {
        EXPECT_LT(error(gradients[t.id], truth), 5e-5 + 4 * get(directory / (t.name + ".error.f64"))[0]) << t.name;
      }
      for (std::size_t i = 0; i < truth.size(); ++i) {
        difference += (gradients[t.id][i] - truth[i]) * (gradients[t.id][i] - truth[i]);
        size += truth[i] * truth[i];
      }
    }
    EXPECT_LT(std::sqrt(difference / size),
              c.precision == Precision::Fp32 ? 5e-5 + 4 * get(directory / "whole.error.f64")[0] : 0.3);
  }
  fs::remove_all(directory);
}

INSTANTIATE_TEST_SUITE_P(
    Models, AgainstPyTorchSlow,
    testing::Values(Case{"resnet20", 32, 8, true, Precision::Fp32}, Case{"resnet20", 32, 8, false, Precision::Fp32},
                    Case{"resnet20", 32, 1, true, Precision::Fp32}, Case{"resnet18", 64, 4, true, Precision::Fp32},
                    Case{"resnet50", 64, 4, true, Precision::Fp32}, Case{"resnet50_v1", 64, 3, false, Precision::Fp32},
                    Case{"alexnet", 227, 2, true, Precision::Fp32}, Case{"alexnet_bn", 227, 2, true, Precision::Fp32},
                    Case{"resnet20", 32, 32, true, Precision::Bf16}));

}  // namespace
}  // namespace lockstep
