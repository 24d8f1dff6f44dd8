// SGD, Nesterov and LARS against core's optimizers; loss scaling.
#include "real/cuda/kernels/optimizer.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/optim/optimizer.hpp"
#include "real/cuda/kernels/optimizer_rule.hpp"
#include "tests/real/cuda/kernels/buffer.hpp"

namespace lockstep::cuda {

namespace {

struct Piece {
  TensorRole role;
  bool linear;
  long long elements;
  double weights;           ///< their deviation; 0: all are zero, where LARS makes exceptions
  double gradients = 0.01;  ///< likewise
};

const std::vector<Piece>& pieces() {
  static const std::vector<Piece> list{{TensorRole::Weight, false, 2 * kChunkElements + 77, 0.05},
                                       {TensorRole::Gamma, false, 64, 1},
                                       {TensorRole::Weight, false, 0, 1},
                                       {TensorRole::Beta, false, 3, 1},
                                       {TensorRole::Weight, true, 1000, 0.3},
                                       {TensorRole::Bias, true, 10, 1},
                                       {TensorRole::Weight, false, 5, 0},
                                       {TensorRole::Weight, false, 20, 1, 0},
                                       {TensorRole::Bias, false, 33, 1}};
  return list;
}

/// All tensors with their tables. Gradients are multiplied by `images` x `scale`.
struct Set {
  Set(const OptimizerSpec& optimizer, Element low, double images, double scale, std::uint64_t seed) {
    std::vector<long long> sizes;
    for (std::size_t t = 0; t < pieces().size(); ++t) {
      const Piece& p = pieces()[t];
      const auto n = static_cast<std::size_t>(p.elements);
      weights.push_back(std::make_unique<Buffer>(Element::F32, normals(n, seed + t, p.weights)));
      gradients.push_back(
          std::make_unique<Buffer>(Element::F32, normals(n, seed + 100 + t, p.gradients * images * scale)));
      velocities.push_back(std::make_unique<Buffer>(Element::F32, normals(n, seed + 200 + t, 0.01)));
      lows.push_back(std::make_unique<Buffer>(low, n));
      const bool copied = low != Element::F32 && p.role == TensorRole::Weight;
      entries.push_back({weights[t]->floats(), gradients[t]->floats(), velocities[t]->floats(),
                         copied ? lows[t]->data() : nullptr, p.elements, tensor_flags(optimizer, p.role, p.linear)});
      sizes.push_back(p.elements);
    }
    chunks = chunk_table(sizes);
    workspace = std::make_unique<Memory>(
        optimizer_workspace_bytes(static_cast<int>(entries.size()), static_cast<int>(chunks.size())));
    tables = {entries.data(), static_cast<int>(entries.size()), chunks.data(), static_cast<int>(chunks.size()), low};
  }
  std::string image() const {
    std::string s;
    for (std::size_t t = 0; t < entries.size(); ++t)
      s += weights[t]->image() + velocities[t]->image() + lows[t]->image();
    return s;
  }
  std::vector<std::unique_ptr<Buffer>> weights, gradients, velocities, lows;
  std::vector<TensorEntry> entries;
  std::vector<TensorChunk> chunks;
  std::unique_ptr<Memory> workspace;
  OptimizerTables tables;
};

StepValues values_of(const OptimizerSpec& o, double lr = 0.4) {
  return step_values(o, 0.5, lr, o.weight_decay * 0.8, 0.9);
}

/// Units in the last place between two floats.
double units(double expected, double computed) {
  const float e = static_cast<float>(expected);
  const float step = std::fmax(std::nextafter(std::fabs(e), HUGE_VALF) - std::fabs(e), 1e-45f);
  return std::fabs(static_cast<double>(e) - computed) / static_cast<double>(step);
}

/// Two steps with a check of each against core in fp64. Returns how many values were not equal to core's, rounded.
int compare(const OptimizerSpec& o, Element low, bool dynamic, double lr = 0.4) {
  const double images = 300, scale = dynamic ? 1024 : 1;
  std::unique_ptr<Set> set;
  const StepValues values = values_of(o, lr);
  const StepValuesDevice device = step_values_device(values, images);
  UpdateOptions options;
  options.rule = update_rule(o);
  options.dynamic_scale = dynamic;
  LossScale loss_scale{static_cast<float>(scale), 0, 0, 0};
  const auto step = [&] {
    update_tensors(options, set->tables, &device, dynamic ? &loss_scale : nullptr, set->workspace->data(), nullptr);
  };
  in_both_orders([&] {
    set = std::make_unique<Set>(o, low, images, scale, 1);
    emulator::launched.clear();
    step();
    EXPECT_EQ(emulator::launched.size(), o.kind != OptimizerKind::Lars && !dynamic ? 1u : 3u);
    return set->image();
  });
  int different = 0;
  Set before(o, low, images, scale, 1);
  const double inverse = 1 / (images * scale);
  for (std::size_t t = 0; t < pieces().size(); ++t) {
    std::vector<double> w = before.weights[t]->values(), v = before.velocities[t]->values(),
                        g = before.gradients[t]->values();
    for (double& x : g) x *= inverse;
    update_tensor<double>(o, pieces()[t].role, pieces()[t].linear, values, w, g, v);
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double dw = units(w[i], (*set->weights[t])[i]), dv = units(v[i], (*set->velocities[t])[i]);
      EXPECT_LE(dw, 1) << "weight " << t << " " << i;
      EXPECT_LE(dv, 1) << "velocity " << t << " " << i;
      different += dw + dv > 0 ? 1 : 0;
      if (before.entries[t].low == nullptr) continue;
      const Buffer rounded(low, std::vector<double>{(*set->weights[t])[i]});
      EXPECT_EQ((*set->lows[t])[i], rounded[0]) << t << " " << i;
    }
  }
  return different;
}

OptimizerSpec spec(OptimizerKind kind, LarsVariant variant = LarsVariant::Paper) {
  OptimizerSpec o;
  o.kind = kind;
  o.lars_variant = variant;
  o.weight_decay = 5e-3;
  o.trust = 0.01;
  return o;
}

constexpr LarsVariant kVariants[] = {LarsVariant::Paper,          LarsVariant::MlperfReference, LarsVariant::TfModels,
                                     LarsVariant::MxnetMultiLars, LarsVariant::NvidiaFastV2,    LarsVariant::Fujitsu,
                                     LarsVariant::ApexLarc,       LarsVariant::ApexScale,       LarsVariant::Timm};

}  // namespace

TEST(Optimizer, SgdAndNesterovEqualCoreBitByBit) {
  for (const auto kind : {OptimizerKind::Sgd, OptimizerKind::Nesterov}) {
    for (const bool correction : {false, true}) {
      for (const bool skip : {false, true}) {
        OptimizerSpec o = spec(kind);
        o.momentum_correction = correction;
        o.skip_bias_and_norm = skip;
        EXPECT_EQ(compare(o, Element::F16, skip), 0);
      }
    }
  }
}

/// The norms are summed in another order than core's; a ratio that differs in its last bit may turn a rounding of 1
/// value in 2^28 or so.
TEST(Optimizer, EveryLarsVariantAgainstCore) {
  for (const LarsVariant variant : kVariants) {
    for (const Element low : kElements) {
      SCOPED_TRACE(static_cast<int>(variant));
      OptimizerSpec o = spec(OptimizerKind::Lars, variant);
      o.skip_bias_and_norm = low != Element::F32;
      EXPECT_LE(compare(o, low, low == Element::F16), 2);
    }
  }
}

/// Corners of the ratio: rate 0, no decay, and a trust so large that LARC clips.
TEST(Optimizer, CornersOfTheRatio) {
  for (const LarsVariant variant : kVariants) {
    SCOPED_TRACE(static_cast<int>(variant));
    OptimizerSpec o = spec(OptimizerKind::Lars, variant);
    EXPECT_LE(compare(o, Element::F32, false, 0), 2);
    o.weight_decay = 0;
    EXPECT_LE(compare(o, Element::F32, false), 2);
    o.trust = 10, o.epsilon = 0.1;
    EXPECT_LE(compare(o, Element::F32, false), 2);
  }
}

TEST(Optimizer, GradientThatIsNotFiniteChangesOnlyTheScale) {
  for (const auto kind : {OptimizerKind::Sgd, OptimizerKind::Lars}) {
    for (const double bad : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
      for (const std::size_t tensor : {0, 3, 8}) {
        const OptimizerSpec o = spec(kind);
        Set set(o, Element::F16, 10, 1024, 5);
        Buffer& g = *set.gradients[tensor];
        const double good = g[g.size() - 1];
        g.set(g.size() - 1, bad);
        const std::string before = set.image();
        const StepValuesDevice values = step_values_device(values_of(o), 10);
        UpdateOptions options;
        options.rule = update_rule(o);
        options.dynamic_scale = true;
        LossScale scale{1024, 7, 0, 3};
        update_tensors(options, set.tables, &values, &scale, set.workspace->data(), nullptr);
        EXPECT_EQ(set.image(), before);
        EXPECT_EQ(scale.scale, 512);
        EXPECT_EQ(scale.good_steps, 0);
        EXPECT_EQ(scale.skipped, 1);
        EXPECT_EQ(scale.total_skipped, 4);
        g.set(g.size() - 1, good);
        update_tensors(options, set.tables, &values, &scale, set.workspace->data(), nullptr);
        EXPECT_NE(set.image(), before);
        EXPECT_EQ(scale.skipped, 0);
        EXPECT_EQ(scale.good_steps, 1);
        EXPECT_EQ(scale.total_skipped, 4);
      }
    }
  }
}

TEST(Optimizer, ScaleGrowsAfterAnIntervalAndStaysInItsRange) {
  const OptimizerSpec o = spec(OptimizerKind::Sgd);
  Set set(o, Element::F16, 10, 1, 5);
  const StepValuesDevice values = step_values_device(values_of(o), 10);
  UpdateOptions options;
  options.rule = update_rule(o);
  options.dynamic_scale = true;
  options.policy.interval = 3;
  options.policy.most = 5;
  options.policy.least = 0.75f;
  LossScale scale{1, 0, 0, 0};
  std::vector<float> seen;
  for (int i = 0; i < 9; ++i) {
    update_tensors(options, set.tables, &values, &scale, set.workspace->data(), nullptr);
    seen.push_back(scale.scale);
  }
  EXPECT_EQ(seen, (std::vector<float>{1, 1, 2, 2, 2, 4, 4, 4, 5}));
  set.gradients[0]->set(0, HUGE_VAL);
  seen.clear();
  for (int i = 0; i < 4; ++i) {
    update_tensors(options, set.tables, &values, &scale, set.workspace->data(), nullptr);
    seen.push_back(scale.scale);
  }
  EXPECT_EQ(seen, (std::vector<float>{2.5, 1.25, 0.75, 0.75}));
  EXPECT_EQ(scale.total_skipped, 4);
}

/// A constant scale that the policy does not touch still divides the gradient.
TEST(Optimizer, ConstantScaleDivides) {
  for (const auto kind : {OptimizerKind::Sgd, OptimizerKind::Lars}) {
    const OptimizerSpec o = spec(kind);
    Set scaled(o, Element::Bf16, 16, 256, 9), plain(o, Element::Bf16, 16, 256, 9);
    const StepValuesDevice with = step_values_device(values_of(o), 16),
                           without = step_values_device(values_of(o), 16 * 256);
    UpdateOptions options;
    options.rule = update_rule(o);
    LossScale scale{256, 0, 0, 0};
    update_tensors(options, scaled.tables, &with, &scale, scaled.workspace->data(), nullptr);
    update_tensors(options, plain.tables, &without, nullptr, plain.workspace->data(), nullptr);
    EXPECT_EQ(scaled.image(), plain.image());
    EXPECT_EQ(scale.scale, 256);
    EXPECT_EQ(scale.good_steps, 0);
  }
}

TEST(ChunkTable, CutsTensors) {
  const std::vector<long long> sizes{kChunkElements, 0, kChunkElements + 1};
  const auto chunks = chunk_table(sizes);
  ASSERT_EQ(chunks.size(), 3u);
  EXPECT_EQ(chunks[0].tensor, 0);
  EXPECT_EQ(chunks[1].tensor, 2);
  EXPECT_EQ(chunks[2].tensor, 2);
  EXPECT_EQ(chunks[2].offset, kChunkElements);
  EXPECT_THROW(chunk_table(std::vector<long long>{-1}), InternalError);
}

}  // namespace lockstep::cuda
