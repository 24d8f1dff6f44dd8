// What a network promises as a whole: equal bits, no allocation after its construction, any thread, dropout, bf16, training.
#include <malloc.h>

#include <thread>

#include <gtest/gtest.h>

#include "core/model/zoo.hpp"
#include "core/optim/optimizer.hpp"
#include "real/tensors/initialise.hpp"
#include "tests/real/cpu/pair.hpp"

namespace lockstep {
namespace {

using namespace test;

ModelGraph small_resnet() { return fuse(build_model("resnet8", 16)); }

std::vector<float> gradients_of(Pair& p) {
  p.forward();
  p.backward();
  return {p.gradients.all().begin(), p.gradients.all().end()};
}

/// Bytes on the heap.
std::size_t held() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(Network, EqualInputsGiveEqualBits) {
  for (const Precision precision : {Precision::Fp32, Precision::Bf16}) {
    NetworkOptions options;
    options.threads = 2;
    options.precision = precision;
    Pair a(residual("equal", true), 5, options), b(residual("equal", true), 5, options);
    const std::vector<float> first = gradients_of(a);
    EXPECT_EQ(gradients_of(b), first);
    EXPECT_EQ(a.statistics.values(), b.statistics.values());
    EXPECT_EQ(gradients_of(a), first) << "a second pass of the same network";
  }
}

TEST(Network, AddsToTheGradientsWhenAsked) {
  Pair p(small_resnet(), 2);
  const std::vector<float> once = gradients_of(p);
  p.backward(true);
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(p.gradients.all()[i], 2 * once[i]);  // doubling is exact
}

TEST(Network, TwoThatOneThreadBuiltRunInTwoOthersAtOnce) {
  NetworkOptions options;
  options.deterministic = false;  // Winograd, where it is chosen, needs much scratch space
  const ModelGraph graph = fuse(build_model("resnet20"));
  Pair a(graph, 16, options), b(graph, 16, options);
  const std::vector<float> alone = gradients_of(a);
  std::vector<float> together[2];
  std::thread first([&] { together[0] = gradients_of(a); }), second([&] { together[1] = gradients_of(b); });
  first.join();
  second.join();
  EXPECT_EQ(together[0], alone);
  EXPECT_EQ(together[1], alone);
}

TEST(Network, EvaluatesAsTheOracleDoes) {
  NetworkOptions options;
  options.mode = NetworkMode::Evaluation;
  Pair p(small_resnet(), 3, options);
  for (const Layer& l : p.graph->layers) {
    if (l.kind != LayerKind::BatchNorm) continue;
    p.oracle.given_mean[l.id.value].assign(static_cast<std::size_t>(l.out.c), 0.0);
    p.oracle.given_variance[l.id.value].assign(static_cast<std::size_t>(l.out.c), 1.0);
  }
  const double want = p.oracle.forward().loss;
  EXPECT_NEAR(p.forward().loss, want, 1.5e-4 * want);
  EXPECT_NEAR(p.forward().loss, want, 1.5e-4 * want) << "again";
}

TEST(Network, OneImage) {
  Pair p(residual("one", true), 1);
  EXPECT_EQ(difference(p), "");
}

// Argument lists of a few bytes come and go; activations, scratch space and weights must not.
TEST(Network, AllocatesNothingAfterItsConstruction) {
  Pair p(fuse(build_model("resnet20")), 8);
  const std::size_t built = held();
  for (int step = 0; step < 3; ++step) {
    p.forward();
    p.backward(step > 0);
    p.network.load_weights(p.weights);
    if (step == 0) continue;
    EXPECT_LT(held(), built + 64 * 1024);
  }
}

// ResNet-20 has 20 convolutions, and a norm after each, on images that shrink from 32 to 8: some 12 full outputs of each kind, beside the
// gradients. An evaluation needs three or four at a time.
TEST(Network, EvaluationHoldsOnlyWhatIsStillToBeRead) {
  const auto graph = std::make_shared<const ModelGraph>(fuse(build_model("resnet20")));
  NormStatistics statistics(*graph);
  NetworkOptions options;
  const auto cost = [&] {
    const std::size_t before = held();
    const Network network(graph, 16, options, statistics);
    return held() - before;
  };
  const std::size_t training = cost();
  options.mode = NetworkMode::Evaluation;
  EXPECT_LT(cost(), training / 4);
}

// 8 bits of mantissa: each of the 20 roundings on the way errs by 2^-9 at random, some sqrt(20) 2^-9 = 0.9 % together.
TEST(Network, Bf16IsCloseToFp32) {
  NetworkOptions options;
  Pair exact(small_resnet(), 8, options);
  options.precision = Precision::Bf16;
  Pair rounded(small_resnet(), 8, options);
  const double want = exact.forward().loss;
  EXPECT_NEAR(rounded.forward().loss, want, 0.02 * want);
}

TEST(Network, RefusesAPrecisionThatProcessorsLack) {
  const auto graph = std::make_shared<const ModelGraph>(small_resnet());
  NormStatistics statistics(*graph);
  NetworkOptions options;
  options.precision = Precision::Fp16;
  EXPECT_THROW(Network(graph, 1, options, statistics), ConfigError);
}

// In image - dropout - linear, with one image x and dropped values d, the gradients are dW[k][j] = e_k d_j and db[k] = e_k: so d_j = dW[k][j] / db[k].
std::vector<double> dropped(std::uint64_t seed, std::int64_t position, std::int64_t images, std::int64_t image) {
  constexpr int size = 20;
  GraphBuilder b("dropped", {1, size, size});
  const LayerId logits = b.linear("l", b.dropout("d", b.input()), 3);
  NetworkOptions options;
  options.seed = seed;
  Pair p(std::move(b).finish(logits), images, options);
  std::fill(p.network.input().begin(), p.network.input().end(), 1.0f);
  for (std::int64_t i = 0; i < images; ++i) p.network.labels()[static_cast<std::size_t>(i)] = i == image ? 1 : -1;
  p.network.begin(position);
  for (const Layer& l : p.graph->layers) p.network.forward(l.id);
  p.backward();
  std::vector<double> out;
  for (const float g : p.gradients[TensorId(0)].first(size * size)) out.push_back(g / p.gradients[TensorId(1)][0]);
  return out;
}

TEST(Dropout, DropsHalfAndDoublesTheRest) {
  double sum = 0;
  for (const double v : dropped(1, 0, 1, 0)) {
    EXPECT_TRUE(std::abs(v) < 1e-6 || std::abs(v - 2) < 1e-5) << v;
    sum += v;
  }
  EXPECT_NEAR(sum / 400, 1, 0.2);  // standard deviation of the mean of 400 values of 0 or 2: 1 / 20; four of them
}

TEST(Dropout, MaskBelongsToTheSeedAndThePositionOfTheImage) {
  const auto mask = [](std::uint64_t seed, std::int64_t position, std::int64_t images, std::int64_t image) {
    std::vector<bool> out;
    for (const double v : dropped(seed, position, images, image)) out.push_back(v > 1);
    return out;
  };
  const auto one = mask(1, 12, 1, 0);
  EXPECT_EQ(mask(1, 10, 4, 2), one) << "the same image inside another batch";
  EXPECT_NE(mask(1, 13, 1, 0), one);
  EXPECT_NE(mask(2, 12, 1, 0), one);
}

// The gradient of a bias before dropout: its own mask (0 or 2) times what comes back. Loss by differences of the network itself: 1e-2 wide, of
// losses that round to 1e-7: 1e-5.
TEST(Dropout, GradientGoesThroughTheSameMask) {
  GraphBuilder b("through", {1, 3, 3});
  const LayerId logits = b.linear("l2", b.dropout("d", b.linear("l1", b.input(), 6)), 3);
  Pair p(std::move(b).finish(logits), 2);
  p.forward();
  p.backward();
  for (std::size_t i = 0; i < 6; ++i) {
    float& bias = p.weights[TensorId(1)][i];
    const float kept = bias;
    double loss[2];
    for (const int side : {0, 1}) {
      bias = kept + (side == 0 ? -5e-3f : 5e-3f);
      p.network.load_weights(p.weights);
      loss[side] = p.forward().loss;
    }
    bias = kept;
    EXPECT_NEAR(p.gradients[TensorId(1)][i], (loss[1] - loss[0]) / 1e-2, 2e-4);
  }
}

TEST(Dropout, PassesEverythingInEvaluation) {
  NetworkOptions options;
  options.mode = NetworkMode::Evaluation;
  Pair p(net("dropout", [](GraphBuilder& b, LayerId x) { return b.dropout("d", x); }), 2, options);
  const double want = p.oracle.forward().loss;
  EXPECT_NEAR(p.forward().loss, want, 1.5e-4 * want);
}

TEST(Initialise, HasThePublishedDeviations) {
  const ModelGraph g = build_model("resnet20");
  TensorSet weights(g), again(g);
  TrainingSpec training;
  training.zero_gamma = true;
  initialise(g, 3, training, weights);
  initialise(g, 3, training, again);
  EXPECT_TRUE(std::equal(weights.all().begin(), weights.all().end(), again.all().begin()));
  for (const ParamTensor& t : g.tensors) {
    const Layer& l = g.layer(t.layer);
    const auto values = weights[t.id];
    double squares = 0;
    for (const float v : values) squares += static_cast<double>(v) * v;
    squares /= static_cast<double>(values.size());
    if (t.role != TensorRole::Weight) {
      EXPECT_EQ(squares, t.role == TensorRole::Gamma && !l.gamma_zero ? 1 : 0) << t.name;
      continue;
    }
    // K outputs, R x S: 2 / (K R S); linear 0.01^2. The mean of n squares of normals varies by sqrt(2 / n): five times that.
    const double want = l.kind == LayerKind::Conv ? 2.0 / (l.out.c * l.r * l.s) : 1e-4;
    EXPECT_NEAR(squares / want, 1, 5 * std::sqrt(2.0 / static_cast<double>(values.size()))) << t.name;
  }
}

TEST(Initialise, FanInIsUniformWithinTheRootOfTheInputs) {
  const ModelGraph g = build_model("resnet20");  // 64 inputs, 10 classes: within 1 / 8, variance 1 / (3 64)
  TensorSet goyal(g), fan_in(g);
  TrainingSpec training;
  initialise(g, 3, training, goyal);
  training.linear_init = LinearInit::FanIn;
  initialise(g, 3, training, fan_in);
  for (const ParamTensor& t : g.tensors) {
    const auto values = fan_in[t.id];
    if (t.role != TensorRole::Weight || g.layer(t.layer).kind != LayerKind::Linear) {
      EXPECT_TRUE(std::equal(values.begin(), values.end(), goyal[t.id].begin())) << t.name;
      continue;
    }
    double squares = 0, largest = 0;
    for (const float v : values) {
      squares += static_cast<double>(v) * v;
      largest = std::max(largest, std::abs(static_cast<double>(v)));
    }
    EXPECT_LE(largest, 1 / 8.0);
    // The square of a uniform value in [-a, a] has mean a^2 / 3 and variance 4 a^4 / 45: five deviations of the mean of n.
    const double n = static_cast<double>(values.size());
    EXPECT_NEAR(squares / n * 192, 1, 5 * std::sqrt(0.8 / n));
  }
}

TEST(TensorSet, BucketsAreSpansOfTheBlock) {
  const ModelGraph g = residual("set", false);  // tensors 0 to 5
  std::vector<TensorId> order;
  for (std::size_t i = g.tensors.size(); i-- > 0;) order.push_back(TensorId(static_cast<std::int32_t>(i)));
  TensorSet set(g, order);
  EXPECT_EQ(static_cast<std::int64_t>(set.all().size()), g.parameters());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(set.all().data()) % 64, 0u);
  const std::vector<TensorId> last_two{order[0], order[1]}, backwards{order[1], order[0]};
  EXPECT_EQ(set.range(last_two).data(), set.all().data());
  EXPECT_EQ(set.range(last_two).size(), set[order[0]].size() + set[order[1]].size());
  EXPECT_THROW(set.range(backwards), InternalError);
  EXPECT_TRUE(set.range({}).empty());
}

// Ten steps in fp32 against ten in float64 with gradients by differences. Rounding of 1e-6 relative per step and gradient, some of it amplified by the
// steps that follow: 1e-4 of the change of the weights.
void train_ten_steps(OptimizerKind kind, double rate) {
  OptimizerSpec optimizer;
  optimizer.kind = kind;
  optimizer.trust = 0.05;  // ten steps of the usual 0.001 would hardly move
  Pair p(fuse(residual("ten steps", true, 3)), 3);
  TensorSet velocity(*p.graph);
  auto exact_velocity = p.oracle.tensors;
  for (auto& t : exact_velocity) std::fill(t.begin(), t.end(), 0.0);
  const auto start = p.oracle.tensors;
  for (int step = 0; step < 10; ++step) {
    const StepValues values = step_values(optimizer, rate, rate, 1e-2, 1);
    p.forward();
    p.backward();
    auto exact = p.oracle.tensors;
    for (const ParamTensor& t : p.graph->tensors) {
      for (std::size_t i = 0; i < exact[t.id.index()].size(); ++i)
        exact[t.id.index()][i] = p.oracle.gradient(t.id, i) / 3;
      for (float& g : p.gradients[t.id]) g /= 3;
    }
    for (const ParamTensor& t : p.graph->tensors) {
      const bool linear = p.graph->layer(t.layer).kind == LayerKind::Linear;
      update_tensor<float>(optimizer, t.role, linear, values, p.weights[t.id], p.gradients[t.id], velocity[t.id]);
      update_tensor<double>(optimizer, t.role, linear, values, p.oracle.tensors[t.id.index()], exact[t.id.index()],
                            exact_velocity[t.id.index()]);
    }
    p.network.load_weights(p.weights);
  }
  double moved = 0, off = 0;
  for (const ParamTensor& t : p.graph->tensors) {
    for (std::size_t i = 0; i < p.weights[t.id].size(); ++i) {
      const double exact = p.oracle.tensors[t.id.index()][i];
      moved = std::max(moved, std::abs(exact - start[t.id.index()][i]));
      off = std::max(off, std::abs(exact - p.weights[t.id][i]));
    }
  }
  EXPECT_GT(moved, 0.01);
  EXPECT_LT(off, 1e-4 * moved);
}

TEST(TenStepsSlow, OfSgd) { train_ten_steps(OptimizerKind::Sgd, 0.02); }
TEST(TenSteps, OfLars) { train_ten_steps(OptimizerKind::Lars, 0.05); }

}  // namespace
}  // namespace lockstep
