// The network on a GPU: every kind of layer against the formulas in float64, and what a network promises as a whole.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "tests/gpu/device_pair.hpp"
#include "tests/real/cpu/pair.hpp"

namespace lockstep::cuda {
namespace {

using namespace test;

const char* precision_name(Precision p) {
  const char* names[] = {"Fp32", "Tf32", "Fp16", "Bf16"};
  return names[static_cast<int>(p)];
}

class OnDevice : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    int devices = 0;
    const cudaError_t result = cudaGetDeviceCount(&devices);
    if (result != cudaSuccess || devices == 0)
      GTEST_SKIP() << "no GPU: " << (result != cudaSuccess ? cudaGetErrorString(result) : "none found");
    int device = 0, major = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "compute capability");
    if (GetParam() == Precision::Bf16 && major < 8) GTEST_SKIP() << "this GPU does not compute in bf16";
  }
  NetworkOptions options() const {
    NetworkOptions o;
    o.precision = GetParam();
    return o;
  }
};

using Layers = OnDevice;
using WholeSlow = OnDevice;
constexpr Precision kAll[] = {Precision::Fp32, Precision::Tf32, Precision::Fp16, Precision::Bf16};
std::string name_of(const testing::TestParamInfo<Precision>& info) { return precision_name(info.param); }
INSTANTIATE_TEST_SUITE_P(Gpu, Layers, testing::ValuesIn(kAll), name_of);
INSTANTIATE_TEST_SUITE_P(Gpu, WholeSlow, testing::ValuesIn(kAll), name_of);

struct ConvolutionCase {
  int in, out, size, kernel, stride, pad, groups;
  bool bias;
};

TEST_P(Layers, ConvolutionOfEveryShape) {
  for (const ConvolutionCase& k :
       {ConvolutionCase{8, 16, 6, 3, 1, 1, 1, false}, ConvolutionCase{8, 8, 7, 1, 1, 0, 1, true},
        ConvolutionCase{16, 8, 8, 1, 2, 0, 1, false}, ConvolutionCase{8, 8, 7, 3, 2, 1, 1, true},
        ConvolutionCase{5, 7, 6, 3, 1, 1, 1, true}, ConvolutionCase{3, 4, 8, 5, 2, 2, 1, false},
        ConvolutionCase{16, 16, 6, 3, 1, 1, 2, true}, ConvolutionCase{4, 8, 5, 2, 1, 1, 1, false}}) {
    DevicePair p(net(
                     "conv",
                     [&](GraphBuilder& b, LayerId x) {
                       return b.conv("c", x, k.out, k.kernel, k.stride, k.pad, k.bias, k.groups);
                     },
                     k.in, k.size),
                 3, options());
    EXPECT_EQ(difference(p, 4), "") << k.in << " to " << k.out << ", kernel " << k.kernel << ", groups " << k.groups;
  }
}

TEST_P(Layers, EveryOtherKind) {
  const std::vector<std::pair<const char*, Body>> bodies = {
      {"norm", [](GraphBuilder& b, LayerId x) { return b.batch_norm("n", x); }},
      {"norm relu", [](GraphBuilder& b, LayerId x) { return b.relu("r", b.batch_norm("n", x)); }},
      {"relu", [](GraphBuilder& b, LayerId x) { return b.relu("r", x); }},
      {"max", [](GraphBuilder& b, LayerId x) { return b.max_pool("m", x, 3, 2, 1); }},
      {"max apart", [](GraphBuilder& b, LayerId x) { return b.max_pool("m", x, 2, 2, 0); }},
      {"average", [](GraphBuilder& b, LayerId x) { return b.global_avg_pool("a", x); }},
      {"linear", [](GraphBuilder& b, LayerId x) { return b.relu("r", b.linear("l", x, 12)); }},
      {"two linear",
       [](GraphBuilder& b, LayerId x) { return b.add("a", b.linear("l1", x, 12), b.linear("l2", x, 12)); }},
      {"lrn", [](GraphBuilder& b, LayerId x) { return b.lrn("l", x); }},
  };
  for (const int channels : {5, 8}) {
    for (const auto& [name, body] : bodies) {
      for (const bool fused : {false, true}) {
        const ModelGraph graph = net(name, body, channels);
        DevicePair p(fused ? fuse(graph) : graph, 3, options());
        EXPECT_EQ(difference(p), "") << name << (fused ? ", fused, " : ", ") << channels << " channels";
      }
    }
  }
}

TEST_P(Layers, AveragePoolingOfWindows) {
  ModelGraph graph = net("windows", [](GraphBuilder& b, LayerId x) { return b.max_pool("a", x, 3, 2, 1); });
  for (Layer& l : graph.layers) {
    if (l.kind == LayerKind::MaxPool) l.kind = LayerKind::AvgPool;
  }
  DevicePair p(graph, 2, options());
  EXPECT_EQ(difference(p), "");
}

TEST_P(Layers, LocalResponseNormalisationOfLargeValues) {
  DevicePair p(net(
                   "lrn", [](GraphBuilder& b, LayerId x) { return b.lrn("l", x); }, 8),
               2, options());
  for (double& v : p.oracle.input)
    v = rounded(p.element, 30 * v);  // so that the sum of squares weighs against the bias of 2
  p.load_input();
  EXPECT_EQ(difference(p), "");
}

TEST_P(Layers, ResidualSums) {
  for (const bool norm : {false, true}) {
    DevicePair apart(residual("apart", norm), 3, options()), fused(fuse(residual("fused", norm)), 3, options());
    EXPECT_EQ(difference(apart), "");
    EXPECT_EQ(difference(fused), "");
  }
}

TEST_P(Layers, ResidualThatAddsAValueToItsOwnNorm) {
  const auto body = [](GraphBuilder& b, LayerId x) { return b.relu("r", b.add("a", b.batch_norm("n", x), x)); };
  DevicePair apart(net("own apart", body), 3, options()), fused(fuse(net("own fused", body)), 3, options());
  EXPECT_EQ(difference(apart), "");
  EXPECT_EQ(difference(fused), "");
}

TEST_P(Layers, ValueAddedToItself) {
  DevicePair p(net("twice", [](GraphBuilder& b, LayerId x) { return b.add("a", x, x); }), 2, options());
  EXPECT_EQ(difference(p), "");
}

TEST_P(Layers, OutputThatManyLayersRead) {
  const auto body = [](GraphBuilder& b, LayerId x) {
    const LayerId one = b.conv("c1", x, 5, 3, 1, 1), two = b.conv("c2", x, 5, 1, 1, 0);
    const LayerId both = b.add("a2", b.add("a1", one, two), b.relu("r", x));
    return b.add("a4", b.add("a3", both, b.max_pool("m", x, 3, 1, 1)), b.batch_norm("n", b.lrn("l", x)));
  };
  DevicePair p(net("many", body), 2, options());
  EXPECT_EQ(difference(p), "");
}

TEST_P(Layers, LossWithSmoothingAndIgnoredImages) {
  NetworkOptions o = options();
  o.label_smoothing = 0.1;
  DevicePair p(net("smooth", [](GraphBuilder& b, LayerId x) { return b.relu("r", x); }), 5, o);
  p.oracle.labels[0] = p.oracle.labels[3] = -1;
  p.load_labels();
  EXPECT_EQ(difference(p), "");
  EXPECT_EQ(p.forward().counted, 3);
}

ModelGraph small_resnet() { return fuse(build_model("resnet8", 16)); }

TEST_P(WholeSlow, SmallResNet) {
  DevicePair p(small_resnet(), 4, options());
  const double want = p.oracle.forward().loss;
  // Some 20 roundings on the way, each of relative size u at random: sqrt(20) u, four times that.
  EXPECT_NEAR(p.forward().loss, want, std::max(1.5e-4, 18 * unit_of(GetParam())) * want);
}

TEST_P(WholeSlow, EvaluatesWithTheAverages) {
  NetworkOptions o = options();
  o.mode = NetworkMode::Evaluation;
  DevicePair p(small_resnet(), 3, o);
  std::vector<float> averages(p.statistics.size());
  p.statistics.download(averages, p.stream);
  std::size_t at = 0;
  for (const Layer& l : p.graph->layers) {
    if (l.kind != LayerKind::BatchNorm) continue;
    for (int c = 0; c < l.out.c; ++c) {
      p.oracle.given_mean[l.id.value].push_back(0.01 * c);
      averages[at++] = static_cast<float>(0.01 * c);
    }
    for (int c = 0; c < l.out.c; ++c) {
      p.oracle.given_variance[l.id.value].push_back(1 + 0.02 * c);
      averages[at++] = static_cast<float>(1 + 0.02 * c);
    }
  }
  p.statistics.upload(averages, p.stream);
  const double want = p.oracle.forward().loss, tolerance = std::max(1.5e-4, 18 * unit_of(GetParam())) * want;
  EXPECT_NEAR(p.forward().loss, want, tolerance);
  EXPECT_NEAR(p.forward().loss, want, tolerance) << "again";
}

TEST_P(WholeSlow, AveragesFollowTheBatches) {
  DevicePair p(fuse(residual("averages", true)), 4, options());
  p.forward();
  const Oracle::Result want = p.oracle.forward();
  std::vector<float> averages(p.statistics.size());
  p.statistics.download(averages, p.stream);
  const double tolerance = GetParam() == Precision::Fp32 ? 1e-5 : 30 * unit_of(GetParam());
  std::size_t at = 0;
  for (const Layer& l : p.graph->layers) {
    if (l.kind != LayerKind::BatchNorm) continue;
    const double count = 4.0 * l.out.h * l.out.w;
    for (const double m : want.mean.at(l.id.value)) EXPECT_NEAR(averages[at++], 0.1 * m, 0.1 * tolerance);
    for (const double v : want.variance.at(l.id.value))
      EXPECT_NEAR(averages[at++], 0.9 + 0.1 * v * count / (count - 1), 0.1 * tolerance * std::max(1.0, v));
  }
}

TEST_P(WholeSlow, AddsToTheGradientsWhenAsked) {
  DevicePair p(small_resnet(), 2, options());
  const auto once = p.step();
  p.forward();
  p.backward(true);
  const auto twice = p.read_gradients();
  for (std::size_t t = 0; t < once.size(); ++t) {
    for (std::size_t i = 0; i < once[t].size(); ++i) EXPECT_EQ(twice[t][i], 2 * once[t][i]);  // doubling is exact
  }
}

TEST_P(WholeSlow, EqualInputsGiveEqualBits) {
  DevicePair a(small_resnet(), 5, options()), b(small_resnet(), 5, options());
  const auto first = a.step();
  EXPECT_EQ(b.step(), first);
  EXPECT_EQ(a.step(), first) << "a second pass of the same network";
}

TEST_P(WholeSlow, SumsOfSeveralPassesAddUp) {
  DevicePair p(small_resnet(), 4, options());
  const LossSums once = p.forward();
  for (const Layer& l : p.graph->layers) p.network.forward(l.id);
  const LossSums twice = p.network.read_sums();
  EXPECT_EQ(twice.loss, 2 * once.loss);
  EXPECT_EQ(twice.correct, 2 * once.correct);
  EXPECT_EQ(twice.counted, 8);
}

// A power of two changes exponents alone, as long as nothing leaves the range (fp16: gradients here are far above 2^-14
// / 64 and below 65504 / 64).
TEST_P(WholeSlow, LossScaleMultipliesTheGradients) {
  DevicePair plain(fuse(residual("scaled", false)), 3, options());
  DeviceArray<float> scale(1);
  const float value = 64;
  check(cudaMemcpy(scale.data(), &value, sizeof value, cudaMemcpyHostToDevice), "loss scale");
  NetworkOptions o = options();
  o.loss_scale = scale.data();
  DevicePair scaled(fuse(residual("scaled", false)), 3, o);
  const auto want = plain.step(), got = scaled.step();
  double largest = 0;
  for (const auto& t : want) {
    for (const float v : t) largest = std::max(largest, std::abs(static_cast<double>(v)));
  }
  for (std::size_t t = 0; t < want.size(); ++t) {
    for (std::size_t i = 0; i < want[t].size(); ++i)
      EXPECT_NEAR(got[t][i] / 64, want[t][i], unit_of(GetParam()) * largest) << plain.graph->tensors[t].name;
  }
}

TEST_P(WholeSlow, PaddedChannelsOfTheFirstConvolutionStayZero) {
  NetworkOptions o = options();
  o.input_channels_padded = 4;
  DevicePair p(small_resnet(), 3, o);
  p.step();
  const TensorPlace& place = (*p.layout)[TensorId(0)];
  ASSERT_EQ(place.padded, 4u);
  std::vector<float> gradient(place.elements), weight(place.elements);
  copy_to_host(static_cast<const float*>(p.gradients[TensorId(0)]), std::span(gradient), p.stream);
  copy_to_host(static_cast<const float*>(p.weights.master()[TensorId(0)]), std::span(weight), p.stream);
  p.stream.synchronise();
  std::size_t others = 0;
  for (std::size_t i = 3; i < place.elements; i += 4) {
    EXPECT_EQ(gradient[i], 0);
    EXPECT_EQ(weight[i], 0);
    others += gradient[i - 1] != 0 ? 1 : 0;
  }
  EXPECT_GT(others, place.elements / 8) << "a filter whose norm lies below zero has no gradient; most have";
  const double want = p.oracle.forward().loss;
  EXPECT_NEAR(p.forward().loss, want, std::max(1.5e-4, 18 * unit_of(GetParam())) * want);
}

// In image - dropout - linear the gradients are dW[k][j] = e_k d_j and db[k] = e_k for one image: so d_j = dW[k][j] /
// db[k].
TEST_P(WholeSlow, DropoutDrawsTheMaskOfTheProcessors) {
  constexpr int channels = 3, size = 5;
  GraphBuilder b("dropped", {channels, size, size});
  const LayerId logits = b.linear("l", b.dropout("d", b.input()), 3);
  NetworkOptions o = options();
  DevicePair p(std::move(b).finish(logits), 3, o);
  std::fill(p.oracle.input.begin(), p.oracle.input.end(), 1.0);
  p.load_input();
  p.oracle.labels = {-1, 1, -1};
  p.load_labels();
  p.forward(40);
  p.backward();
  const auto gradients = p.read_gradients();
  Rng rng(o.seed, "dropout d", 41);
  std::uint32_t bits = 0;
  for (std::size_t k = 0; k < channels * size * size; ++k) {
    if (k % 32 == 0) bits = rng.next_u32();
    const double want = (bits >> (k % 32) & 1u) != 0 ? 2 : 0;
    EXPECT_NEAR(gradients[0][k] / gradients[1][0], want, 1e-3) << k;
  }
}

TEST_P(WholeSlow, MeasuredAlgorithmsAreKeptForTheNextNetwork) {
  NetworkOptions o = options();
  o.deterministic = false;
  o.workspace_limit = std::size_t{64} << 20;
  Stream stream;
  AlgorithmCache cache(Handles(stream).environment());
  o.algorithms = &cache;
  DevicePair first(small_resnet(), 4, o);
  const std::size_t known = cache.size();
  const std::string text = cache.text();
  EXPECT_GT(known, 0u);
  DevicePair second(small_resnet(), 4, o);
  EXPECT_EQ(cache.text(), text);
  EXPECT_EQ(first.network.algorithms(), second.network.algorithms());
  const double want = first.oracle.forward().loss;
  EXPECT_NEAR(first.forward().loss, want, std::max(1.5e-4, 18 * unit_of(GetParam())) * want);
}

TEST_P(WholeSlow, CapturedInAGraphGivesTheSameBits) {
  DevicePair p(small_resnet(), 4, options());
  const auto want = p.step();
  const LossSums loss = p.network.read_sums();
  p.gradients.clear(p.stream);
  p.stream.synchronise();
  cudaGraph_t graph = nullptr;
  check(cudaStreamBeginCapture(p.stream, cudaStreamCaptureModeThreadLocal), "capture");
  p.enqueue_forward();
  p.backward();
  check(cudaStreamEndCapture(p.stream, &graph), "capture");
  cudaGraphExec_t run = nullptr;
  check(cudaGraphInstantiate(&run, graph, 0), "cudaGraphInstantiate");
  for (int step = 0; step < 2; ++step) {
    check(cudaGraphLaunch(run, p.stream), "cudaGraphLaunch");
    EXPECT_EQ(p.network.read_sums().loss, loss.loss);
    EXPECT_EQ(p.read_gradients(), want);
  }
  check(cudaGraphExecDestroy(run), "cudaGraphExecDestroy");
  check(cudaGraphDestroy(graph), "cudaGraphDestroy");
}

TEST_P(WholeSlow, HalfIsCloseToFull) {
  const ModelGraph graph = fuse(build_model("resnet20", 16));
  NetworkOptions full = options();
  full.precision = Precision::Fp32;
  DevicePair exact(graph, 8, full), p(graph, 8, options());
  const double want = exact.forward().loss;
  // Some 60 roundings at random: sqrt(60) u = 8 u, three times that; fp32 against itself is equal.
  const double tolerance = GetParam() == Precision::Fp32 ? 0 : 24 * unit_of(GetParam()) * want;
  EXPECT_NEAR(p.forward().loss, want, tolerance);
}

}  // namespace
}  // namespace lockstep::cuda
