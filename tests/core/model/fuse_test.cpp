#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "core/model/layer_cost.hpp"
#include "core/model/zoo.hpp"

namespace lockstep {
namespace {

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  a = (a ^ b) * 0x9e3779b97f4a7c15ULL;
  return a ^ (a >> 29);
}

std::uint64_t rectified(std::uint64_t x) { return mix(x, 0x5e1f); }
std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return mix(std::min(a, b), std::max(a, b)); }

/// What a graph computes, with hashes in the place of numbers: equal hashes mean the same formula. A fused layer is
/// read as the three operations it stands for.
std::uint64_t formula(const ModelGraph& g) {
  std::vector<std::uint64_t> value(g.layers.size());
  for (const Layer& l : g.layers) {
    const auto input = [&](std::size_t i) { return value[l.inputs[i].index()]; };
    std::uint64_t& v = value[l.id.index()];
    switch (l.kind) {
      case LayerKind::Input: v = 1; break;
      case LayerKind::Relu: v = rectified(input(0)); break;
      case LayerKind::Add: v = sum(input(0), input(1)); break;
      default:
        v = mix(input(0), std::hash<std::string>{}(l.name));
        if (l.fused_add) v = sum(v, input(1));
        if (l.fused_relu) v = rectified(v);
    }
  }
  return value.back();
}

std::int64_t traffic(const ModelGraph& g, std::int64_t batch, bool one_pass) {
  std::int64_t bytes = 0;
  for (const Layer& l : g.layers) {
    const LayerCost c = layer_cost(g, l, batch, 2, one_pass);
    bytes += (c.forward.bytes + c.backward_data.bytes + c.backward_weight.bytes).count();
  }
  return bytes;
}

int launches(const ModelGraph& g) {
  int n = 0;
  for (const Layer& l : g.layers) {
    const LayerCost c = layer_cost(g, l, 1, 2);
    n += c.forward.kernels + c.backward_data.kernels + c.backward_weight.kernels;
  }
  return n;
}

void expect_sound(const ModelGraph& plain, const ModelGraph& fused) {
  RC_ASSERT(formula(fused) == formula(plain));
  RC_ASSERT(fused.layers.size() <= plain.layers.size());
  RC_ASSERT(fused.tensors.size() == plain.tensors.size());
  LayerId last;
  for (std::size_t t = 0; t < plain.tensors.size(); ++t) {
    const ParamTensor &a = plain.tensors[t], &b = fused.tensors[t];
    RC_ASSERT(a.id == b.id);
    RC_ASSERT(a.name == b.name);
    RC_ASSERT(a.role == b.role);
    RC_ASSERT(a.dims == b.dims);
    RC_ASSERT(plain.layer(a.layer).name == fused.layer(b.layer).name);
    RC_ASSERT(b.layer >= last);
    last = b.layer;
  }
  for (const Layer& l : fused.layers) {
    for (LayerId in : l.inputs) RC_ASSERT(in < l.id);
  }
  const std::int64_t batch = *rc::gen::inRange<std::int64_t>(1, 300);
  for (bool one_pass : {false, true}) RC_ASSERT(traffic(fused, batch, one_pass) <= traffic(plain, batch, one_pass));
  RC_ASSERT(launches(fused) <= launches(plain));
}

/// Any mixture of layers that keep their shape, each reading any earlier one.
ModelGraph random_graph() {
  GraphBuilder b("random", {4, 3, 3});
  const int count = *rc::gen::inRange(1, 25);
  std::vector<LayerId> ids = {b.input()};
  for (int i = 0; i < count; ++i) {
    // Mostly the last layers, so that joinable chains are frequent.
    const auto any = [&] {
      const std::size_t back = *rc::gen::weightedElement<std::size_t>({{6, 0}, {2, 1}, {1, 2}, {1, 5}});
      return ids[ids.size() - 1 - std::min(back, ids.size() - 1)];
    };
    const std::string n = std::to_string(i);
    const LayerId in = any();
    switch (*rc::gen::weightedElement<int>({{2, 0}, {3, 1}, {2, 2}, {2, 3}, {3, 4}})) {
      case 0: ids.push_back(b.conv("conv" + n, in, 4, 1, 1, 0)); break;
      case 1: ids.push_back(b.batch_norm("bn" + n, in)); break;
      case 2: ids.push_back(b.relu("relu" + n, in)); break;
      case 3: ids.push_back(b.add("add" + n, in, any())); break;
      default: {  // the end of a block, perhaps with a shortcut's convolution where it breaks the order of tensors
        const LayerId norm = b.batch_norm("last" + n, in);
        const LayerId other = *rc::gen::arbitrary<bool>() ? b.conv("shortcut" + n, any(), 4, 1, 1, 0) : any();
        const LayerId sum = *rc::gen::arbitrary<bool>() ? b.add("sum" + n, norm, other) : b.add("sum" + n, other, norm);
        ids.push_back(b.relu("end" + n, sum));
      }
    }
  }
  return std::move(b).finish(b.linear("fc", ids.back(), 10));
}

TEST(Fuse, RandomGraphsComputeTheSameForNoMoreBytes) {
  EXPECT_TRUE(rc::check([] {
    const ModelGraph g = random_graph();
    const ModelGraph fused = fuse(g);
    RC_CLASSIFY(std::any_of(fused.layers.begin(), fused.layers.end(), [](const Layer& l) { return l.fused_add; }));
    expect_sound(g, fused);
  }));
}

TEST(Fuse, ModelsComputeTheSameForNoMoreBytes) {
  EXPECT_TRUE(rc::check([] {
    const auto all = models();
    const ModelGraph g = build_model(all[*rc::gen::inRange<std::size_t>(0, all.size())].name);
    expect_sound(g, fuse(g));
  }));
}

TEST(Fuse, TwiceIsOnce) {
  const ModelGraph once = fuse(build_model("resnet18")), twice = fuse(once);
  ASSERT_EQ(twice.layers.size(), once.layers.size());
  EXPECT_EQ(formula(twice), formula(once));
}

TEST(Fuse, ResNet50) {
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

const Layer* find(const ModelGraph& g, const std::string& name) {
  const auto it = std::find_if(g.layers.begin(), g.layers.end(), [&](const Layer& l) { return l.name == name; });
  return it == g.layers.end() ? nullptr : &*it;
}

TEST(Fuse, NotWhenTheNormHasAnotherReader) {
  GraphBuilder b("net", {4, 3, 3});
  const LayerId bn = b.batch_norm("bn", b.input());
  const LayerId relu = b.relu("relu", bn);
  const ModelGraph g = fuse(std::move(b).finish(b.add("add", relu, bn)));
  EXPECT_FALSE(find(g, "bn")->fused_relu);
  EXPECT_NE(find(g, "relu"), nullptr);
}

TEST(Fuse, NotWhenTheSumIsReadBeforeItsRelu) {
  GraphBuilder b("net", {4, 3, 3});
  const LayerId add = b.add("sum", b.batch_norm("bn", b.input()), b.input());
  const LayerId relu = b.relu("relu", add);
  const ModelGraph g = fuse(std::move(b).finish(b.add("again", relu, add)));
  EXPECT_FALSE(find(g, "bn")->fused_add);
  EXPECT_NE(find(g, "sum"), nullptr);
}

TEST(Fuse, NotAcrossALayerWithParameters) {
  // Joined, bn would stand behind conv and its tensors no longer in forward order.
  GraphBuilder b("net", {4, 3, 3});
  const LayerId bn = b.batch_norm("bn", b.input());
  const LayerId conv = b.conv("conv", b.input(), 4, 1, 1, 0);
  const ModelGraph g = fuse(std::move(b).finish(b.relu("relu", b.add("sum", bn, conv))));
  EXPECT_FALSE(find(g, "bn")->fused_add);
  EXPECT_LT(g.tensors[0].layer, g.tensors[2].layer);
}

TEST(Fuse, OfTwoNormsTheLaterTakesTheSum) {
  GraphBuilder b("net", {4, 3, 3});
  const LayerId first = b.batch_norm("first", b.input()), second = b.batch_norm("second", b.input());
  const ModelGraph g = fuse(std::move(b).finish(b.relu("relu", b.add("sum", first, second))));
  EXPECT_FALSE(find(g, "first")->fused_add);
  ASSERT_TRUE(find(g, "second")->fused_add);
  EXPECT_TRUE(find(g, "second")->fused_relu);
  EXPECT_EQ(find(g, "second")->inputs, (std::vector<LayerId>{LayerId(0), LayerId(1)}));
}

}  // namespace
}  // namespace lockstep
