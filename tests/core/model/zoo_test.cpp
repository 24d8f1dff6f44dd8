#include "core/model/zoo.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lockstep {
namespace {

int count(const ModelGraph& g, LayerKind kind) {
  return static_cast<int>(
      std::count_if(g.layers.begin(), g.layers.end(), [&](const Layer& l) { return l.kind == kind; }));
}

Shape output(const ModelGraph& g, const std::string& name) {
  for (const Layer& l : g.layers) {
    if (l.name == name) return l.out;
  }
  return {};
}

bool has_tensor(const ModelGraph& g, const std::string& name) {
  return std::any_of(g.tensors.begin(), g.tensors.end(), [&](const ParamTensor& t) { return t.name == name; });
}

TEST(Zoo, ResNet50ByHand) {
  const ModelGraph g = build_model("resnet50");
  EXPECT_EQ(count(g, LayerKind::Conv), 1 + 16 * 3 + 4);  // stem, three per block, four shortcuts
  EXPECT_EQ(count(g, LayerKind::Linear), 1);
  EXPECT_EQ(g.tensors.size(), 161u);  // 53 convolutions + 2 x 53 norms + weight and bias of fc
  // Weights of a stage of width w, in w^2: a later block 4 + 9 + 4; the first 2 + 9 + 4 and its shortcut 8, in stage 1
  // 1 + 9 + 4 and 4. Norms: 2 (1 + 1 + 4) w per block and 2 x 4 w per shortcut.
  std::int64_t expected = 64 * 3 * 49 + 2 * 64 + 2048 * 1000 + 1000;
  const std::int64_t blocks[] = {3, 4, 6, 3};
  for (std::int64_t k = 0, w = 64; k < 4; ++k, w *= 2)
    expected += w * w * ((k == 0 ? 18 : 23) + (blocks[k] - 1) * 17) + 12 * w * blocks[k] + 8 * w;
  EXPECT_EQ(g.parameters(), expected);
  EXPECT_EQ(expected, 25557032);  // the published number
}

TEST(Zoo, PublishedParameterCounts) {
  EXPECT_EQ(build_model("resnet50_v1").parameters(), 25557032);
  EXPECT_EQ(build_model("resnet18").parameters(), 11689512);
  EXPECT_EQ(build_model("resnet34").parameters(), 21797672);
  EXPECT_EQ(build_model("resnet101").parameters(), 44549160);
  EXPECT_EQ(build_model("resnet152").parameters(), 60192808);
}

TEST(Zoo, V15StridesInThe3x3AndV1InTheFirst1x1) {
  for (const bool v1 : {false, true}) {
    const ModelGraph g = build_model(v1 ? "resnet50_v1" : "resnet50");
    int strided = 0;
    for (const Layer& l : g.layers) {
      if (l.kind != LayerKind::Conv || l.stride == 1 || l.name.rfind("layer", 0) != 0) continue;
      if (l.name.find("downsample") != std::string::npos) continue;
      EXPECT_NE(l.name.find(v1 ? ".0.conv1" : ".0.conv2"), std::string::npos) << l.name;
      ++strided;
    }
    EXPECT_EQ(strided, 3);  // the first blocks of stages 2, 3 and 4
  }
}

TEST(Zoo, CifarParametersByHand) {
  for (const std::int64_t n : {1, 3, 5, 7, 9, 18}) {
    // Stem; stage of width w: 2n 3x3 convolutions with norms, of which the first of stages 2, 3 reads w / 2 channels.
    const std::int64_t stem = 16 * 3 * 9 + 32, fc = 64 * 10 + 10;
    const std::int64_t stage1 = 2 * n * (16 * 16 * 9 + 32);
    const std::int64_t stage2 = 2 * n * (32 * 32 * 9 + 64) - 32 * 16 * 9;
    const std::int64_t stage3 = 2 * n * (64 * 64 * 9 + 128) - 64 * 32 * 9;
    const std::int64_t option_b = 32 * 16 + 64 + 64 * 32 + 128;
    EXPECT_EQ(option_b, 2752);
    const ModelGraph g = build_model("resnet" + std::to_string(6 * n + 2));
    EXPECT_EQ(g.parameters(), stem + stage1 + stage2 + stage3 + fc + option_b);
    EXPECT_EQ(count(g, LayerKind::Conv), 6 * n + 1 + 2);
    EXPECT_EQ(g.input(), (Shape{3, 32, 32}));
  }
  // He et al., table 6, to the digits given there (with option A): 0.27 0.46 0.66 0.85 1.7 M.
  EXPECT_EQ(build_model("resnet20").parameters() - 2752, 269722);
  EXPECT_EQ(build_model("resnet110").parameters() - 2752, 1727962);
}

TEST(Zoo, NarrowCifarNetByHand) {
  // 8, 16, 32 channels, one block each: stem 8 x 27 + 16; stages 2 x (576 + 16), 1152 + 2304 + 2 x 32,
  // 4608 + 9216 + 2 x 64; shortcuts 128 + 32 + 512 + 64; classifier 320 + 10.
  const ModelGraph g = build_model("resnet8_w8", 14);
  EXPECT_EQ(g.parameters(), 232 + 1184 + 3520 + 13952 + 736 + 330);
  EXPECT_EQ(g.parameters(), 19954);
  EXPECT_EQ(g.name, "resnet8_w8");
  EXPECT_EQ(g.input(), (Shape{3, 14, 14}));
  EXPECT_EQ(output(g, "layer3.0.add"), (Shape{32, 4, 4}));  // 14 -> 7 -> 4
  EXPECT_EQ(build_model("resnet20_w16").parameters(), build_model("resnet20").parameters());
}

TEST(Zoo, NamesOfNarrowNetsAreChecked) {
  for (const char* name : {"resnet8_w0", "resnet8_w", "resnet8_w08", "resnet8_w1025", "resnet9_w8", "resnet18_w8",
                           "resnet_w8", "resnet8_w8x", "resnet8_w8_w8", "resnet50_w8"})
    EXPECT_THROW(build_model(name), std::invalid_argument) << name;
}

TEST(Zoo, AlexNetByHand) {
  // Convolutions 34,944 + 307,456 + 885,120 + 663,936 + 442,624; fc 37,752,832 + 16,781,312 + 4,097,000.
  const ModelGraph g = build_model("alexnet");
  EXPECT_EQ(g.parameters(), 96 * (3 * 121 + 1) + 256 * (48 * 25 + 1) + 384 * (256 * 9 + 1) + 384 * (192 * 9 + 1) +
                                256 * (192 * 9 + 1) + 4096 * (9216 + 1) + 4096 * (4096 + 1) + 1000 * (4096 + 1));
  EXPECT_EQ(g.parameters(), 60965224);
  EXPECT_EQ(g.tensors.size(), 16u);
  EXPECT_EQ(count(g, LayerKind::Lrn), 2);
  // 227 -> 55 -> 27 -> 13 -> 6.
  EXPECT_EQ(output(g, "conv1"), (Shape{96, 55, 55}));
  EXPECT_EQ(output(g, "pool1"), (Shape{96, 27, 27}));
  EXPECT_EQ(output(g, "pool2"), (Shape{256, 13, 13}));
  EXPECT_EQ(output(g, "pool5"), (Shape{256, 6, 6}));
}

TEST(Zoo, AlexNetBnHasNormsInsteadOfBiases) {
  const ModelGraph g = build_model("alexnet_bn");
  const std::int64_t channels = 96 + 256 + 384 + 384 + 256;
  EXPECT_EQ(g.parameters(), 60965224 - channels + 2 * channels);
  EXPECT_EQ(g.tensors.size(), 5u * 3 + 6);
  EXPECT_EQ(count(g, LayerKind::Lrn), 0);
  EXPECT_EQ(count(g, LayerKind::BatchNorm), 5);
}

TEST(Zoo, GammaZeroOnTheLastNormOfEachBlockOnly) {
  for (const auto& [name, last, blocks] :
       {std::tuple("resnet50", ".bn3", 16), std::tuple("resnet50_v1", ".bn3", 16), std::tuple("resnet18", ".bn2", 8),
        std::tuple("resnet34", ".bn2", 16), std::tuple("resnet101", ".bn3", 33), std::tuple("resnet20", ".bn2", 9)}) {
    int zero = 0;
    for (const Layer& l : build_model(name).layers) {
      const bool is_last = l.name.rfind("layer", 0) == 0 && l.name.find(last) != std::string::npos;
      EXPECT_EQ(l.gamma_zero, is_last) << name << " " << l.name;
      zero += l.gamma_zero;
    }
    EXPECT_EQ(zero, blocks) << name;
  }
}

TEST(Zoo, NamesFollowTorchvision) {
  const ModelGraph g = build_model("resnet50");
  for (const char* name :
       {"conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.bn3.bias", "layer4.2.conv3.weight",
        "layer3.0.downsample.0.weight", "layer3.0.downsample.1.bias", "fc.weight", "fc.bias"})
    EXPECT_TRUE(has_tensor(g, name)) << name;
  EXPECT_FALSE(has_tensor(g, "conv1.bias"));
}

TEST(Zoo, EveryListedModelIsBuiltAsListed) {
  std::set<std::string> names;
  for (const ModelInfo& m : models()) {
    const ModelGraph g = build_model(m.name);
    EXPECT_TRUE(names.insert(m.name).second);
    EXPECT_EQ(g.name, m.name);
    EXPECT_EQ(g.input(), (Shape{3, m.image_size, m.image_size}));
    EXPECT_EQ(g.classes, m.classes);
    EXPECT_FALSE(m.source.empty());
  }
}

TEST(Zoo, SizeAndClassesCanBeChosen) {
  const ModelGraph g = build_model("resnet18", 160, 10);
  EXPECT_EQ(g.input(), (Shape{3, 160, 160}));
  EXPECT_EQ(g.parameters(), 11689512 - 990 * 513);  // 990 rows of fc and their biases less
  EXPECT_EQ(build_model("alexnet", 67).classes, 1000);
  EXPECT_THROW(build_model("alexnet", 66), std::invalid_argument);
}

TEST(Zoo, UnknownNamesTheNearest) {
  try {
    build_model("resnet5O");
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean \"resnet50\"?"), std::string::npos);
  }
  // 6n + 2 from 8 to 9998, written as a number is.
  for (const char* name : {"", "resnet", "resnet2", "resnet21", "resnet020", "resnet-20", "resnet99998", "vgg16"})
    EXPECT_THROW(build_model(name), std::invalid_argument) << name;
  EXPECT_EQ(build_model("resnet8").name, "resnet8");
}

}  // namespace
}  // namespace lockstep
