// The memory plan judged by walking it: every block of memory remembers who wrote it last, and every read must find its
// writer.
#include "real/cuda/network/memory_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/model/zoo.hpp"

namespace lockstep::cuda {
namespace {

using Way = GradientTarget::Way;

/// Memory in blocks of 256 bytes that know their last writer.
class Blocks {
 public:
  explicit Blocks(const MemoryPlan& plan) : plan_(plan), owner_(plan.bytes / 256 + 1, -1) {}
  void write(int value) {
    each(value, [&](int& owner) { owner = value; });
  }
  bool holds(int value) {
    bool all = true;
    each(value, [&](int& owner) { all = all && owner == value; });
    return all;
  }

 private:
  template <class Visit>
  void each(int value, Visit visit) {
    const PlannedValue& v = plan_.values.at(static_cast<std::size_t>(value));
    ASSERT_EQ(v.offset % 256, 0u);
    ASSERT_LE(v.offset + v.bytes, plan_.bytes);
    for (std::size_t b = v.offset / 256; b < (v.offset + v.bytes + 255) / 256; ++b) visit(owner_[b]);
  }
  const MemoryPlan& plan_;
  std::vector<int> owner_;
};

/// A training step or an evaluation, without arithmetic. Says what it missed.
class Walk {
 public:
  Walk(const ModelGraph& graph, const MemoryPlan& plan) : graph_(graph), plan_(plan), blocks_(plan) {
    blocks_.write(plan.activation[0]);
  }
  std::string forward() {
    for (const Layer& l : graph_.layers) {
      if (l.kind == LayerKind::Input) continue;
      std::set<int> reads, writes;
      for (const LayerId in : l.inputs) reads.insert(plan_.activation[in.index()]);
      for (const int v : {plan_.activation[l.id.index()], plan_.saved[l.id.index()]}) {
        if (v >= 0 && !reads.contains(v)) writes.insert(v);
      }
      if (l.kind == LayerKind::SoftmaxCrossEntropy) {
        for (const GradientTarget& t : plan_.targets[l.id.index()]) writes.insert(t.value);
      }
      if (!step(reads, writes)) return "forward of " + l.name;
    }
    return "";
  }
  std::string backward() {
    for (auto l = graph_.layers.rbegin(); l != graph_.layers.rend(); ++l) {
      if (l->kind == LayerKind::Input) continue;
      std::set<int> reads = needed(*l), writes, added;
      for (const GradientTarget& t : plan_.targets[l->id.index()]) {
        if (t.way == Way::Accumulate && reads.contains(t.value)) return "reads what it adds to: " + l->name;
        // An addition of a value to itself writes the gradient and adds to it in the same step.
        if (t.way == Way::Accumulate && !writes.contains(t.value)) added.insert(t.value);
        if (t.way == Way::Write) writes.insert(t.value);
      }
      reads.insert(added.begin(), added.end());
      if (l->kind == LayerKind::SoftmaxCrossEntropy) continue;  // written in its forward pass
      if (!step(reads, writes)) return "backward of " + l->name;
    }
    return "";
  }
  bool images_intact() { return blocks_.holds(plan_.activation[0]); }

 private:
  /// What the formulas of the derivatives need, as the layers of this backend compute them.
  std::set<int> needed(const Layer& l) const {
    std::set<int> out;
    const int x = plan_.activation[l.inputs[0].index()], y = plan_.activation[l.id.index()];
    if (l.kind == LayerKind::Conv || l.kind == LayerKind::Linear || l.kind == LayerKind::BatchNorm ||
        l.kind == LayerKind::Lrn)
      out.insert(x);
    if (l.kind == LayerKind::Relu) out.insert(y);
    if (plan_.saved[l.id.index()] >= 0) out.insert(plan_.saved[l.id.index()]);
    if (l.kind != LayerKind::SoftmaxCrossEntropy) out.insert(plan_.gradient[l.id.index()]);
    return out;
  }
  bool step(const std::set<int>& reads, const std::set<int>& writes) {
    for (const int v : reads) {
      if (!blocks_.holds(v)) return false;
    }
    for (const int v : writes) blocks_.write(v);
    for (const int v : reads) {
      if (!blocks_.holds(v)) return false;  // overwritten while it was read
    }
    for (const int v : writes) {
      if (!blocks_.holds(v)) return false;  // two outputs on top of each other
    }
    return true;
  }
  const ModelGraph& graph_;
  const MemoryPlan& plan_;
  Blocks blocks_;
};

std::vector<ModelGraph> all_models() {
  std::vector<ModelGraph> out;
  for (const ModelInfo& model : models()) {
    out.push_back(build_model(model.name));
    out.push_back(fuse(out.back()));
  }
  return out;
}

TEST(MemoryPlan, EveryValueIsThereWhenItIsRead) {
  for (const ModelGraph& graph : all_models()) {
    for (const bool training : {true, false}) {
      const MemoryPlan plan = plan_memory(graph, {3, 2, training, 0});
      Walk walk(graph, plan);
      for (int step = 0; step < 2; ++step) {  // the images stay, and the next step finds its memory as the first did
        ASSERT_EQ(walk.forward(), "") << graph.name << (training ? " training" : " evaluation");
        if (training) {
          ASSERT_EQ(walk.backward(), "") << graph.name;
        }
        ASSERT_TRUE(walk.images_intact()) << graph.name;
      }
    }
  }
}

TEST(MemoryPlan, LivesThatMeetDoNotShareBytes) {
  for (const ModelGraph& graph : all_models()) {
    for (const bool training : {true, false}) {
      const std::vector<PlannedValue> v = plan_memory(graph, {2, 4, training, 0}).values;
      for (std::size_t i = 0; i < v.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          const bool together = v[i].first <= v[j].last && v[j].first <= v[i].last;
          const bool apart = v[i].offset + v[i].bytes <= v[j].offset || v[j].offset + v[j].bytes <= v[i].offset;
          ASSERT_TRUE(!together || apart)
              << graph.name << ": " << graph.layer(v[i].layer).name << " and " << graph.layer(v[j].layer).name;
        }
      }
    }
  }
}

TEST(MemoryPlan, FirstWriterWritesAndTheOthersAdd) {
  for (const ModelGraph& graph : all_models()) {
    const MemoryPlan plan = plan_memory(graph, {1, 4, true, 0});
    std::set<int> written;
    for (auto l = graph.layers.rbegin(); l != graph.layers.rend(); ++l) {
      for (const GradientTarget& t : plan.targets[l->id.index()]) {
        if (t.way == Way::None) continue;
        EXPECT_EQ(t.way == Way::Write, written.insert(t.value).second) << l->name;
      }
    }
  }
}

// Training keeps every output that a later backward pass reads: at least the inputs of all convolutions. An evaluation
// of ResNet-50 needs the widest moment alone: the first block's input and output, 256 channels of 56 x 56, and the
// branch between them.
TEST(MemoryPlan, EvaluationNeedsOnlyTheWidestMoment) {
  const ModelGraph graph = fuse(build_model("resnet50"));
  const MemoryPlan training = plan_memory(graph, {8, 2, true, 0}), evaluation = plan_memory(graph, {8, 2, false, 0});
  std::size_t kept = 0;
  for (const Layer& l : graph.layers) {
    if (l.kind == LayerKind::Conv) kept += static_cast<std::size_t>(8 * 2 * l.in.elements());
  }
  EXPECT_GT(training.bytes, kept);
  const std::size_t widest = 8 * 2 * 256 * 56 * 56;
  EXPECT_GE(evaluation.bytes, 2 * widest);
  EXPECT_LE(evaluation.bytes, 4 * widest);
}

TEST(MemoryPlan, WastesLittleOverThePeak) {
  for (const ModelGraph& graph : all_models()) {
    for (const bool training : {true, false}) {
      const MemoryPlan plan = plan_memory(graph, {16, 2, training, 0});
      EXPECT_GE(plan.bytes, plan.peak_bytes);
      EXPECT_LE(static_cast<double>(plan.bytes), 1.15 * static_cast<double>(plan.peak_bytes)) << graph.name;
    }
  }
}

TEST(MemoryPlan, ResNet50At256ImagesOf16Bit) {
  const ModelGraph graph = fuse(build_model("resnet50"));
  const MemoryPlan plan = plan_memory(graph, {256, 2, true, 4});
  RecordProperty("bytes", std::to_string(plan.bytes));
  std::printf("ResNet-50, 256 images, 16 bit: %.3f GB planned, %.3f GB at the peak\n",
              static_cast<double>(plan.bytes) * 1e-9, static_cast<double>(plan.peak_bytes) * 1e-9);
  EXPECT_LT(plan.bytes, 16e9);  // a V100 of 16 GB holds it, with weights and workspace beside
}

TEST(MemoryPlan, PaddedImagesTakeFourChannels) {
  const ModelGraph graph = build_model("resnet20");
  const MemoryPlan plan = plan_memory(graph, {5, 2, true, 4});
  EXPECT_EQ(plan.values[static_cast<std::size_t>(plan.activation[0])].bytes, 5u * 2 * 4 * 32 * 32);
}

}  // namespace
}  // namespace lockstep::cuda
