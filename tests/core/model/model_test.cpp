#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

#include "core/model/layer_cost.hpp"
#include "core/model/zoo.hpp"

namespace lockstep {
namespace {

const Layer& named(const ModelGraph& g, const std::string& name) {
  for (const Layer& l : g.layers) {
    if (l.name == name) return l;
  }
  throw std::runtime_error("no layer " + name);
}

TEST(Model, ResNet50HasThePublishedSize) {
  const ModelGraph g = build_model("resnet50");
  EXPECT_EQ(g.parameters(), 25557032);
  EXPECT_EQ(g.tensors.size(), 161u);  // 53 convolutions + 2 x 53 batch norms + weight and bias of fc
  EXPECT_NEAR(forward_macs(g), 4.089e9, 0.0005e9);
  EXPECT_NEAR(training_flops(g).count(), 24.30e9, 0.01e9);  // no data gradient for the first convolution
}

TEST(Model, FirstConvolutionByHand) {
  // 7x7, stride 2, pad 3 on 224: (224 + 6 - 7) / 2 + 1 = 112; 112 x 112 x 64 outputs of 3 x 49 multiply-adds.
  const ModelGraph g = build_model("resnet50");
  const Layer& conv1 = named(g, "conv1");
  EXPECT_EQ(conv1.out, (Shape{64, 112, 112}));
  const LayerCost c = layer_cost(g, conv1, 2, 2);
  EXPECT_DOUBLE_EQ(c.forward.flops.count(), 2.0 * 2 * 112 * 112 * 64 * 3 * 49);
  EXPECT_EQ(c.forward.bytes.count(), 2 * (2 * (3 * 224 * 224 + 64 * 112 * 112) + 64 * 3 * 49));
  EXPECT_EQ(c.backward_data.kernels, 0);
  EXPECT_EQ(c.backward_weight.kernels, 1);
}

TEST(Model, ResNet50ActivationsOfTheFactBase) {
  // Elements per image: convolution outputs 11.11 M, convolution inputs 10.66 M, block sums 5.52 M.
  const ModelGraph g = build_model("resnet50");
  double outputs = 0, inputs = 0, sums = 0;
  for (const Layer& l : g.layers) {
    if (l.kind == LayerKind::Conv) {
      outputs += static_cast<double>(l.out.elements());
      inputs += static_cast<double>(l.in.elements());
    }
    if (l.kind == LayerKind::Add) sums += static_cast<double>(l.out.elements());
  }
  EXPECT_NEAR(outputs, 11.11e6, 0.01e6);
  EXPECT_NEAR(inputs, 10.66e6, 0.01e6);
  EXPECT_NEAR(sums, 5.52e6, 0.01e6);
}

/// Memory traffic per image in fp16 of convolutions, batch norm, ReLU and additions: the roofline's accounting.
double traffic_mb(const ModelGraph& g, bool one_pass) {
  double bytes = 0;
  for (const Layer& l : g.layers) {
    if (l.kind != LayerKind::Conv && l.kind != LayerKind::BatchNorm && l.kind != LayerKind::Relu &&
        l.kind != LayerKind::Add)
      continue;
    const LayerCost c = layer_cost(g, l, 100000, 2, one_pass);  // a huge batch hides the weights
    for (const auto& p : {c.forward, c.backward_data, c.backward_weight})
      bytes += static_cast<double>(p.bytes.count()) / 100000;
    if (l.kind == LayerKind::Conv && c.backward_data.kernels == 0)
      bytes += 2.0 * static_cast<double>(l.in.elements() + l.out.elements());
  }
  return bytes / 1e6;
}

TEST(Model, MemoryTrafficOfResNet50) {
  // bytes = 2 (fo Eo + fi Ei + fa A) with (fo, fi, fa) = (11, 3, 3) and (8, 3, 3): 342 and 275 MB.
  const ModelGraph fused = fuse(build_model("resnet50"));
  EXPECT_NEAR(traffic_mb(fused, false), 342, 1);
  EXPECT_NEAR(traffic_mb(fused, true), 275, 1);
  // Unfused, two-pass: (16, 3, 6) counts a ReLU behind every convolution, also behind those that an addition follows;
  // here each block has its ReLU once, so that 486 MB is an upper bound.
  EXPECT_LT(traffic_mb(build_model("resnet50"), false), 486);
  EXPECT_GT(traffic_mb(build_model("resnet50"), false), 430);
}

TEST(Model, OtherSizes) {
  EXPECT_EQ(build_model("resnet50_v1").parameters(), 25557032);
  EXPECT_LT(forward_macs(build_model("resnet50_v1")), forward_macs(build_model("resnet50")));
  EXPECT_EQ(build_model("resnet18").parameters(), 11689512);
  EXPECT_EQ(build_model("resnet34").parameters(), 21797672);
  EXPECT_EQ(build_model("resnet101").parameters(), 44549160);
  // ResNet-20: 0.27 M with the parameter-free shortcut (He et al., table 6); the two projections add
  // 16 x 32 + 64 and 32 x 64 + 128 to its 269,722.
  EXPECT_EQ(build_model("resnet20").parameters(), 269722 + 512 + 64 + 2048 + 128);
  // AlexNet: conv 34,944 + 307,456 + 885,120 + 663,936 + 442,624; fc 37,752,832 + 16,781,312 + 4,097,000.
  EXPECT_EQ(build_model("alexnet").parameters(), 60965224);
}

TEST(Model, GammaZeroOnTheLastNormOfABlock) {
  const ModelGraph g = build_model("resnet50");
  int zero = 0;
  for (const Layer& l : g.layers) zero += l.gamma_zero;
  EXPECT_EQ(zero, 16);
  EXPECT_TRUE(named(g, "layer1.0.bn3").gamma_zero);
  EXPECT_FALSE(named(g, "layer1.0.downsample.1").gamma_zero);
}

TEST(Model, UnknownNamesTheNearest) {
  try {
    build_model("resnet5O");
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean \"resnet50\"?"), std::string::npos);
  }
}

TEST(Model, GraphsKeepTheirInvariants) {
  rc::check([] {
    const auto all = models();
    const ModelGraph plain = build_model(all[*rc::gen::inRange<std::size_t>(0, all.size())].name);
    for (const ModelGraph& g : {plain, fuse(plain)}) {
      std::set<std::string> names;
      for (std::size_t i = 0; i < g.layers.size(); ++i) {
        RC_ASSERT(g.layers[i].id.index() == i);
        RC_ASSERT(names.insert(g.layers[i].name).second);
        for (LayerId in : g.layers[i].inputs) RC_ASSERT(in.index() < i);
        if (!g.layers[i].inputs.empty()) RC_ASSERT(g.layers[i].in == g.layer(g.layers[i].inputs[0]).out);
      }
      LayerId last;
      for (std::size_t t = 0; t < g.tensors.size(); ++t) {
        RC_ASSERT(g.tensors[t].id.index() == t);
        RC_ASSERT(g.tensors[t].layer >= last);  // tensors follow their layers
        last = g.tensors[t].layer;
      }
    }
    const ModelGraph fused = fuse(plain);
    RC_ASSERT(fused.tensors.size() == plain.tensors.size());
    for (std::size_t t = 0; t < plain.tensors.size(); ++t) RC_ASSERT(fused.tensors[t].name == plain.tensors[t].name);
  });
}

TEST(Model, FusionInResNet50) {
  // 53 norms: the stem, three per block, and four on shortcuts.
  const ModelGraph g = fuse(build_model("resnet50"));
  int adds = 0, relus = 0, plain = 0;
  for (const Layer& l : g.layers) {
    EXPECT_NE(l.kind, LayerKind::Add);
    EXPECT_NE(l.kind, LayerKind::Relu);
    if (l.kind != LayerKind::BatchNorm) continue;
    adds += l.fused_add;
    relus += l.fused_relu;
    plain += !l.fused_relu;
  }
  EXPECT_EQ(adds, 16);           // one per block
  EXPECT_EQ(relus, 1 + 3 * 16);  // stem, three per block
  EXPECT_EQ(plain, 4);           // shortcuts
}

}  // namespace
}  // namespace lockstep
