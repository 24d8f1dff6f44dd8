#include "core/model/layer_cost.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"

namespace lockstep {
namespace {

const Layer& named(const ModelGraph& g, const std::string& name) {
  for (const Layer& l : g.layers) {
    if (l.name == name) return l;
  }
  throw std::runtime_error("no layer " + name);
}

// Every stage of ResNet-50 has the same kU = w^2 s^2 (width w, side s): 64^2 56^2 = 128^2 28^2 = ...
constexpr double kU = 64. * 64 * 56 * 56;
constexpr double kStem = 112. * 112 * 64 * 3 * 49, kFc = 2048. * 1000;
// A later block: 1x1 from 4w, 3x3, 1x1 to 4w = (4 + 9 + 4) kU. The first of stage 1: 1 + 9 + 4 and the shortcut 4.
// The first of stages 2-4 reads 2w channels of side 2s: 1x1 8, 3x3 9, 1x1 4, shortcut 8.
constexpr double kV15 = kStem + kFc + kU * ((18 + 2 * 17) + (29 + 3 * 17) + (29 + 5 * 17) + (29 + 2 * 17));

TEST(LayerCost, ResNet50MultiplyAddsByHand) {
  EXPECT_DOUBLE_EQ(forward_macs(build_model("resnet50")), kV15);
  EXPECT_DOUBLE_EQ(kV15, 4089184256.);  // the published 4.089 GMAC
  // Three passes, but no data gradient for the first convolution: the published 24.30 GFLOP.
  EXPECT_DOUBLE_EQ(training_flops(build_model("resnet50")).count(), 2 * (3 * kV15 - kStem));
  EXPECT_NEAR(2 * (3 * kV15 - kStem), 24.30e9, 0.005e9);
  // v1 strides in the first 1x1: 2 kU instead of 8 in three blocks.
  EXPECT_DOUBLE_EQ(forward_macs(build_model("resnet50_v1")), kV15 - 3 * 6 * kU);
}

TEST(LayerCost, AlexNetMultiplyAddsByHand) {
  // Two groups halve the inputs of convolutions 2, 4 and 5.
  const double convolutions = 55. * 55 * 96 * 3 * 121 + 27. * 27 * 256 * 48 * 25 + 13. * 13 * 384 * 256 * 9 +
                              13. * 13 * 384 * 192 * 9 + 13. * 13 * 256 * 192 * 9;
  EXPECT_DOUBLE_EQ(forward_macs(build_model("alexnet")), convolutions + 9216. * 4096 + 4096. * 4096 + 4096. * 1000);
}

TEST(LayerCost, ConvolutionByHand) {
  // 7x7, stride 2, pad 3 on 224: (224 + 6 - 7) / 2 + 1 = 112; 112 x 112 x 64 outputs of 3 x 49 multiply-adds.
  const ModelGraph g = build_model("resnet50");
  const Layer& conv1 = named(g, "conv1");
  ASSERT_EQ(conv1.out, (Shape{64, 112, 112}));
  const LayerCost c = layer_cost(g, conv1, 2, 2);
  EXPECT_DOUBLE_EQ(c.forward.flops.count(), 2.0 * 2 * 112 * 112 * 64 * 3 * 49);
  EXPECT_EQ(c.forward.bytes.count(), 2 * (2 * (3 * 224 * 224 + 64 * 112 * 112) + 64 * 3 * 49));
  EXPECT_EQ(c.forward.kernels, 1);
  // Nobody needs the gradient of the images.
  EXPECT_EQ(c.backward_data.kernels, 0);
  EXPECT_EQ(c.backward_data.bytes, Bytes(0));
  EXPECT_EQ(c.backward_weight.kernels, 1);
  const LayerCost second = layer_cost(g, named(g, "layer1.0.conv2"), 2, 2);
  EXPECT_EQ(second.backward_data.kernels, 1);
  EXPECT_DOUBLE_EQ(second.backward_data.flops.count(), 2.0 * 2 * 56 * 56 * 64 * 64 * 9);
}

TEST(LayerCost, BiasGradientReadsTheOutputGradientOnceMore) {
  const ModelGraph g = build_model("resnet50");
  const LayerCost c = layer_cost(g, named(g, "fc"), 3, 4);
  EXPECT_EQ(c.forward.bytes.count(), 4 * (3 * (2048 + 1000) + 2048 * 1000));
  EXPECT_EQ(c.backward_weight.bytes.count(), 4 * (3 * (2048 + 2 * 1000) + 2048 * 1000));
  EXPECT_EQ(c.backward_weight.kernels, 2);
}

TEST(LayerCost, NormsByHand) {
  const ModelGraph plain = build_model("resnet50"), fused = fuse(plain);
  constexpr std::int64_t n = 256 * 56 * 56;
  const auto cost = [&](const ModelGraph& g, bool one_pass) {
    const LayerCost c = layer_cost(g, named(g, "layer1.0.bn3"), 1, 2, one_pass);
    EXPECT_EQ(c.forward.kernels, 1);
    EXPECT_EQ(c.backward_data.kernels, 1);
    EXPECT_EQ(c.backward_weight.kernels, 0);  // gamma's and beta's gradients come with the data gradient
    return std::pair(c.forward.bytes / Bytes(2 * n), c.backward_data.bytes / Bytes(2 * n));
  };
  // Forward reads x (twice if two-pass) and writes y; backward reads x and dy (each twice) and writes dx.
  EXPECT_EQ(cost(plain, true), std::pair(2., 3.));
  EXPECT_EQ(cost(plain, false), std::pair(3., 5.));
  // With the addition: forward reads the shortcut too; backward reads y for the mask and writes a second dx.
  EXPECT_EQ(cost(fused, true), std::pair(3., 5.));
  EXPECT_EQ(cost(fused, false), std::pair(4., 7.));
}

TEST(LayerCost, LayersWithoutParametersByHand) {
  // 8 x 10 x 10 values in; a 3 x 3 window at stride 2 makes 8 x 4 x 4. In elements, fp32.
  GraphBuilder b("net", {8, 10, 10});
  const LayerId relu = b.relu("relu", b.input()), add = b.add("add", relu, b.input());
  const LayerId lrn = b.lrn("lrn", add), pool = b.max_pool("pool", lrn, 3, 2, 0);
  const LayerId drop = b.dropout("drop", pool), mean = b.global_avg_pool("mean", drop);
  const ModelGraph g = std::move(b).finish(mean);
  const auto expect = [&](LayerId id, std::int64_t forward, std::int64_t backward) {
    const LayerCost c = layer_cost(g, g.layer(id), 1, 4);
    EXPECT_EQ(c.forward.bytes.count(), 4 * forward) << g.layer(id).name;
    EXPECT_EQ(c.backward_data.bytes.count(), 4 * backward) << g.layer(id).name;
    EXPECT_EQ(c.forward.kernels, 1);
    EXPECT_EQ(c.backward_data.kernels, 1);
    EXPECT_EQ(c.backward_weight.kernels, 0);
  };
  expect(relu, 2 * 800, 3 * 800);          // x, y; dy, y, dx
  expect(add, 3 * 800, 3 * 800);           // two in, one out; two gradients joined where their paths meet
  expect(lrn, 2 * 800, 4 * 800);           // x, y; dy, x, y, dx
  expect(pool, 800 + 128, 2 * 800 + 128);  // x, y; x, dy, dx
  expect(drop, 2 * 128, 3 * 128);          // x, y; dy, mask, dx
  expect(mean, 128 + 8, 128 + 8);          // x, y; dy, dx
  expect(LayerId(7), 2 * 8, 2 * 8);        // loss: logits, probabilities; probabilities, gradient
}

// Activations of ResNet-50 in units of V = 64 x 56 x 56. A stage has Vk = V, V/2, V/4, V/8; a block writes w s^2 = Vk
// twice and 4 Vk once, the first of stages 2-4 writes 4 Vk before its stride; a shortcut writes 4 Vk.
constexpr std::int64_t kV = 64 * 56 * 56;
constexpr std::int64_t kOut =
    4 * kV + (10 + 2 * 6) * kV + (13 + 3 * 6) * kV / 2 + (13 + 5 * 6) * kV / 4 + (13 + 2 * 6) * kV / 8;
constexpr std::int64_t kIn =
    3 * 224 * 224 + (4 + 2 * 6) * kV + (21 + 3 * 6) * kV / 2 + (21 + 5 * 6) * kV / 4 + (21 + 2 * 6) * kV / 8;
constexpr std::int64_t kSums = 3 * 4 * kV + 4 * 4 * kV / 2 + 6 * 4 * kV / 4 + 3 * 4 * kV / 8;
constexpr std::int64_t kShortcuts = 4 * (kV + kV / 2 + kV / 4 + kV / 8);

TEST(LayerCost, ResNet50ActivationsByHand) {
  const ModelGraph g = build_model("resnet50");
  std::int64_t out = 0, in = 0, sums = 0, rectified = 0;
  for (const Layer& l : g.layers) {
    if (l.kind == LayerKind::Conv) out += l.out.elements(), in += l.in.elements();
    if (l.kind == LayerKind::Add) sums += l.out.elements();
    if (l.kind == LayerKind::Relu) rectified += l.out.elements();
  }
  EXPECT_EQ(out, kOut);
  EXPECT_EQ(in, kIn);
  EXPECT_EQ(sums, kSums);
  EXPECT_EQ(rectified, kOut - kShortcuts);  // a block's last ReLU stands behind its addition; shortcuts have none
  // The fact base's 11.11, 10.66 and 5.52 M elements.
  EXPECT_EQ(kOut, 11113984);
  EXPECT_EQ(kIn, 10662400);
  EXPECT_EQ(kSums, 5519360);
}

/// fp16 bytes per image of the layers that the roofline counts, without weights.
std::int64_t traffic(const ModelGraph& g, bool one_pass) {
  const auto bytes = [&](std::int64_t batch) {
    Bytes total;
    for (const Layer& l : g.layers) {
      if (l.kind != LayerKind::Conv && l.kind != LayerKind::BatchNorm && l.kind != LayerKind::Relu &&
          l.kind != LayerKind::Add)
        continue;
      const LayerCost c = layer_cost(g, l, batch, 2, one_pass);
      total += c.forward.bytes + c.backward_data.bytes + c.backward_weight.bytes;
    }
    return total.count();
  };
  return bytes(2) - bytes(1);  // the weights cancel
}

TEST(LayerCost, ResNet50MemoryTrafficOfTheRoofline) {
  // Bytes per image = 2 (fo Eo + fi Ei + fa A), (fo, fi, fa) = (11, 3, 3) two-pass and (8, 3, 3) one-pass, fused
  // (facts: training.md, section 6). Ours leaves out the data gradient of the first convolution: 1.9 MB.
  constexpr std::int64_t first = 4 * kV + 3 * 224 * 224;
  const ModelGraph plain = build_model("resnet50"), fused = fuse(plain);
  EXPECT_EQ(traffic(fused, false), 2 * (11 * kOut + 3 * kIn + 3 * kSums - first));
  EXPECT_EQ(traffic(fused, true), 2 * (8 * kOut + 3 * kIn + 3 * kSums - first));
  EXPECT_NEAR(2e-6 * (11 * kOut + 3 * kIn + 3 * kSums), 342, 0.5);
  EXPECT_NEAR(2e-6 * (8 * kOut + 3 * kIn + 3 * kSums), 275, 0.5);
  // Apart: (16, 3, 6) = 486 MB has a ReLU of five passes behind every norm; the norms on shortcuts have none.
  EXPECT_EQ(traffic(plain, false), 2 * (16 * kOut + 3 * kIn + 6 * kSums - 5 * kShortcuts - first));
  EXPECT_NEAR(2e-6 * (16 * kOut + 3 * kIn + 6 * kSums), 486, 0.5);
}

TEST(LayerCost, SumsToTheTrainingFlops) {
  const ModelGraph g = build_model("resnet34");
  double flops = 0;
  for (const Layer& l : g.layers) {
    if (l.kind != LayerKind::Conv && l.kind != LayerKind::Linear) continue;
    const LayerCost c = layer_cost(g, l, 1, 2);
    flops += (c.forward.flops + c.backward_data.flops + c.backward_weight.flops).count();
  }
  EXPECT_DOUBLE_EQ(flops, training_flops(g).count());
}

TEST(LayerCost, GrowsWithTheBatchExactlyByItsActivations) {
  EXPECT_TRUE(rc::check([] {
    const auto all = models();
    const ModelGraph g = fuse(build_model(all[*rc::gen::inRange<std::size_t>(0, all.size())].name));
    const Layer& l = g.layers[*rc::gen::inRange<std::size_t>(0, g.layers.size())];
    const std::int64_t n = *rc::gen::inRange<std::int64_t>(1, 1000);
    const LayerCost one = layer_cost(g, l, 1, 2), two = layer_cost(g, l, 2, 2), many = layer_cost(g, l, n, 2),
                    wide = layer_cost(g, l, n, 4);
    for (const auto pass : {&LayerCost::forward, &LayerCost::backward_data, &LayerCost::backward_weight}) {
      const Bytes per_image = (two.*pass).bytes - (one.*pass).bytes;
      RC_ASSERT((many.*pass).bytes == (one.*pass).bytes + per_image * (n - 1));
      RC_ASSERT((wide.*pass).bytes == (many.*pass).bytes * 2);
      RC_ASSERT((many.*pass).kernels == (one.*pass).kernels);
      RC_ASSERT((many.*pass).flops.count() == (one.*pass).flops.count() * static_cast<double>(n));
      RC_ASSERT(((one.*pass).kernels == 0) == ((one.*pass).bytes == Bytes(0)));
    }
  }));
}

TEST(LayerCost, NeedsAnImage) {
  const ModelGraph g = build_model("resnet20");
  EXPECT_THROW(layer_cost(g, g.layers[1], 0, 2), InternalError);
}

}  // namespace
}  // namespace lockstep
