#include "core/model/graph.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"

namespace lockstep {
namespace {

TEST(Graph, BuilderDerivesShapesAndTensors) {
  GraphBuilder b("net", {6, 9, 7});
  const LayerId conv = b.conv("conv", b.input(), 8, 3, 2, 1, true, 2);
  const LayerId norm = b.batch_norm("bn", conv);
  const ModelGraph g = std::move(b).finish(b.linear("fc", norm, 10));
  // (9 + 2 - 3) / 2 + 1 = 5 and (7 + 2 - 3) / 2 + 1 = 4.
  EXPECT_EQ(g.layer(conv).in, (Shape{6, 9, 7}));
  EXPECT_EQ(g.layer(conv).out, (Shape{8, 5, 4}));
  EXPECT_EQ(g.classes, 10);
  EXPECT_EQ(g.layers.back().kind, LayerKind::SoftmaxCrossEntropy);
  ASSERT_EQ(g.tensors.size(), 6u);
  const std::vector<std::string> names = {"conv.weight", "conv.bias", "bn.weight", "bn.bias", "fc.weight", "fc.bias"};
  for (std::size_t t = 0; t < names.size(); ++t) EXPECT_EQ(g.tensors[t].name, names[t]);
  EXPECT_EQ(g.tensors[0].dims, (std::vector<std::int64_t>{8, 3, 3, 3}));  // [K, C / groups, R, S]
  EXPECT_EQ(g.tensors[4].dims, (std::vector<std::int64_t>{10, 8 * 5 * 4}));
  EXPECT_EQ(g.tensors[2].role, TensorRole::Gamma);
  EXPECT_EQ(g.tensors[3].role, TensorRole::Beta);
  EXPECT_TRUE(g.tensors[3].is_norm());
  EXPECT_FALSE(g.tensors[5].is_norm());
  EXPECT_EQ(g.parameters(), 8 * 3 * 9 + 8 + 8 + 8 + 10 * 160 + 10);
}

TEST(Graph, WindowsLargerThanTheirInputAreRefused) {
  GraphBuilder b("net", {3, 5, 5});
  // (5 - 7) / 4 + 1 would truncate to 1.
  EXPECT_THROW(b.conv("conv", b.input(), 8, 7, 4, 0), InternalError);
  EXPECT_THROW(b.max_pool("pool", b.input(), 7, 4, 0), InternalError);
  EXPECT_EQ(b.conv("padded", b.input(), 8, 7, 4, 1), LayerId(1));
}

TEST(Graph, AdditionsHaveEqualShapes) {
  GraphBuilder b("net", {3, 5, 5});
  const LayerId wide = b.conv("conv", b.input(), 8, 1, 1, 0);
  EXPECT_THROW(b.add("add", wide, b.input()), InternalError);
  EXPECT_THROW(b.conv("groups", wide, 9, 1, 1, 0, false, 2), InternalError);
}

TEST(Graph, EveryModelKeepsTheInvariants) {
  EXPECT_TRUE(rc::check([] {
    const auto all = models();
    const ModelInfo info = all[*rc::gen::inRange<std::size_t>(0, all.size())];
    const int image = *rc::gen::element(0, info.image_size, info.image_size + *rc::gen::inRange(0, 97));
    const int classes = *rc::gen::inRange(1, 2000);
    const ModelGraph plain = build_model(info.name, image, classes);
    for (const ModelGraph& g : {plain, fuse(plain)}) {
      RC_ASSERT(g.name == info.name);
      RC_ASSERT(g.classes == classes);
      RC_ASSERT(g.layers.front().kind == LayerKind::Input);
      RC_ASSERT(g.layers.back().kind == LayerKind::SoftmaxCrossEntropy);
      std::set<std::string> names;
      for (std::size_t i = 0; i < g.layers.size(); ++i) {
        const Layer& l = g.layers[i];
        RC_ASSERT(l.id.index() == i);
        RC_ASSERT(names.insert(l.name).second);
        RC_ASSERT(l.inputs.size() == (i == 0 ? 0u : l.kind == LayerKind::Add || l.fused_add ? 2u : 1u));
        for (LayerId in : l.inputs) RC_ASSERT(in.index() < i);
        if (!l.inputs.empty()) RC_ASSERT(l.in == g.layer(l.inputs[0]).out);
        if (l.inputs.size() == 2) RC_ASSERT(l.out == g.layer(l.inputs[1]).out);
      }
      LayerId last;
      for (std::size_t t = 0; t < g.tensors.size(); ++t) {
        const ParamTensor& tensor = g.tensors[t];
        RC_ASSERT(tensor.id.index() == t);
        RC_ASSERT(tensor.layer >= last);  // tensors follow their layers
        RC_ASSERT(tensor.name.rfind(g.layer(tensor.layer).name + ".", 0) == 0);
        RC_ASSERT(names.insert(tensor.name).second);
        last = tensor.layer;
      }
    }
  }));
}

}  // namespace
}  // namespace lockstep
