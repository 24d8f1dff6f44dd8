// Every kind of layer, forward and backward, against the formulas in float64.
#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "core/base/rng.hpp"
#include "real/cpu/network.hpp"
#include "tests/real/cpu/pair.hpp"

namespace lockstep {
namespace {

using namespace test;

TEST(Layers, ConvolutionOfEveryShape) {
  EXPECT_TRUE(rc::check([] {
    const int kernel = *rc::gen::element(1, 2, 3, 5), stride = *rc::gen::inRange(1, 4),
              groups = *rc::gen::element(1, 2, 4);
    const int pad = *rc::gen::inRange(0, kernel), size = *rc::gen::inRange(5, 9);
    const int in = groups * *rc::gen::inRange(1, 6), out = groups * *rc::gen::inRange(1, 6);
    const bool bias = *rc::gen::arbitrary<bool>();
    Pair p(
        net(
            "conv", [&](GraphBuilder& b, LayerId x) { return b.conv("c", x, out, kernel, stride, pad, bias, groups); },
            in, size),
        *rc::gen::inRange(1, 4));
    RC_ASSERT(difference(p, 3) == "");
  }));
}

TEST(Layers, BatchNorm) {
  Pair p(net("norm", [](GraphBuilder& b, LayerId x) { return b.batch_norm("n", x); }), 3);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, BatchNormWithRelu) {
  const ModelGraph g =
      fuse(net("norm relu", [](GraphBuilder& b, LayerId x) { return b.relu("r", b.batch_norm("n", x)); }));
  ASSERT_EQ(g.layers.size(), 5u);  // input, conv, norm + relu, linear, loss
  Pair p(g, 3);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, ResidualSumOfTwoReaders) {
  for (const bool norm : {false, true}) {
    Pair apart(residual("apart", norm), 2), fused(fuse(residual("fused", norm)), 2);
    ASSERT_TRUE(
        std::any_of(fused.graph->layers.begin(), fused.graph->layers.end(), [](auto& l) { return l.fused_add; }));
    EXPECT_EQ(difference(apart), "");
    EXPECT_EQ(difference(fused), "");
  }
}

TEST(Layers, ResidualThatAddsAValueToItsOwnNorm) {
  const auto body = [](GraphBuilder& b, LayerId x) { return b.relu("r", b.add("a", b.batch_norm("n", x), x)); };
  Pair apart(net("own apart", body), 2), fused(fuse(net("own fused", body)), 2);
  EXPECT_EQ(difference(apart), "");
  EXPECT_EQ(difference(fused), "");
}

TEST(Layers, OutputThatThreeLayersRead) {
  Pair p(net("three",
             [](GraphBuilder& b, LayerId x) {
               const LayerId one = b.conv("c1", x, 5, 3, 1, 1), two = b.conv("c2", x, 5, 1, 1, 0);
               return b.add("a2", b.add("a1", one, two), b.relu("r", x));
             }),
         2);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, Relu) {
  Pair p(net("relu", [](GraphBuilder& b, LayerId x) { return b.relu("r", x); }), 2);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, MaxPooling) {
  Pair p(net("max", [](GraphBuilder& b, LayerId x) { return b.max_pool("m", x, 3, 2, 1); }), 2);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, AveragePoolingOfTheWholeImage) {
  Pair p(net("average", [](GraphBuilder& b, LayerId x) { return b.global_avg_pool("a", x); }), 2);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, AveragePoolingOfWindows) {
  ModelGraph g = net("windows", [](GraphBuilder& b, LayerId x) { return b.max_pool("a", x, 2, 2, 0); });
  for (Layer& l : g.layers) {
    if (l.kind == LayerKind::MaxPool) l.kind = LayerKind::AvgPool;
  }
  Pair p(g, 2);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, LocalResponseNormalisation) {
  for (const int channels : {3, 8}) {  // fewer than the window of five, and more
    Pair p(net(
               "lrn", [](GraphBuilder& b, LayerId x) { return b.lrn("l", x); }, channels),
           2);
    for (float& v : p.network.input()) v *= 30;  // so that the sum of squares weighs against the bias of 2
    p.oracle.input.assign(p.network.input().begin(), p.network.input().end());
    p.oracle.label_smoothing = 0;
    EXPECT_EQ(difference(p), "");
  }
}

TEST(Layers, LabelSmoothing) {
  NetworkOptions options;
  options.label_smoothing = 0.1;
  Pair p(net("smooth", [](GraphBuilder& b, LayerId x) { return b.relu("r", x); }), 3, options);
  EXPECT_EQ(difference(p), "");
}

TEST(Layers, IgnoredImagesHaveNoLossNoGradientAndDoNotCount) {
  Pair p(net("ignored", [](GraphBuilder& b, LayerId x) { return b.relu("r", x); }), 4);
  p.network.labels()[0] = p.network.labels()[2] = -1;
  p.take_labels();
  EXPECT_EQ(difference(p), "");
  EXPECT_EQ(p.network.result().counted, 2);
  std::fill(p.network.labels().begin(), p.network.labels().end(), -1);
  const BatchResult none = p.forward();
  p.backward();
  EXPECT_EQ(none.counted, 0);
  EXPECT_EQ(none.correct, 0);
  EXPECT_EQ(none.loss, 0);
  for (const float g : p.gradients.all()) EXPECT_EQ(g, 0);
}

// Two values per channel, a and b: mean (a + b) / 2, unbiased variance (a - b)^2 / 2. From (0, 1) with momentum 0.9 to 0.1 of them and 0.9.
TEST(Layers, MovingAveragesTakeTheUnbiasedVarianceOfTheBatch) {
  GraphBuilder b("averages", {1, 1, 2});
  const LayerId norm = b.batch_norm("n", b.input());
  const ModelGraph g = [&] {
    const LayerId logits = b.linear("last", norm, 2);
    return std::move(b).finish(logits);
  }();
  Pair p(g, 1);
  p.network.input()[0] = 3;
  p.network.input()[1] = 7;
  p.forward();
  EXPECT_FLOAT_EQ(p.statistics.mean(norm)[0], 0.1f * 5);
  EXPECT_FLOAT_EQ(p.statistics.variance(norm)[0], 0.9f + 0.1f * 8);
}

TEST(Layers, EvaluationUsesTheMovingAveragesAndKeepsThem) {
  for (const bool fused : {false, true}) {
    NetworkOptions options;
    options.mode = NetworkMode::Evaluation;
    const ModelGraph g = residual("evaluation", true);
    Pair p(fused ? fuse(g) : g, 3, options);
    Rng rng(9, "averages");
    for (const Layer& l : p.graph->layers) {
      if (l.kind != LayerKind::BatchNorm) continue;
      for (float& v : p.statistics.mean(l.id)) v = static_cast<float>(rng.normal());
      for (float& v : p.statistics.variance(l.id)) v = static_cast<float>(0.5 + rng.uniform());
      p.oracle.given_mean[l.id.value].assign(p.statistics.mean(l.id).begin(), p.statistics.mean(l.id).end());
      p.oracle.given_variance[l.id.value].assign(p.statistics.variance(l.id).begin(),
                                                 p.statistics.variance(l.id).end());
    }
    const std::vector<float> before = p.statistics.values();
    const BatchResult got = p.forward();
    const Oracle::Result want = p.oracle.forward();
    EXPECT_NEAR(got.loss, want.loss, 1.5e-4 * want.loss);
    EXPECT_EQ(got.correct, want.correct);
    EXPECT_EQ(p.statistics.values(), before);
  }
}

}  // namespace
}  // namespace lockstep
