#include "real/cuda/network/memory_plan.hpp"

#include <algorithm>
#include <numeric>

#include "core/base/error.hpp"

namespace lockstep::cuda {

namespace {

constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::size_t elements(const Shape& shape, std::int64_t images) {
  return static_cast<std::size_t>(images * shape.elements());
}

/// Builds the values of a plan with their lives; place() gives them offsets.
class Planner {
 public:
  Planner(const ModelGraph& graph, const PlanOptions& options)
      : graph_(graph), options_(options), layers_(static_cast<int>(graph.layers.size())) {
    plan_.activation.assign(graph.layers.size(), -1);
    plan_.gradient.assign(graph.layers.size(), -1);
    plan_.saved.assign(graph.layers.size(), -1);
    plan_.targets.resize(graph.layers.size());
  }

  MemoryPlan plan() {
    for (const Layer& layer : graph_.layers) forward(layer);
    if (options_.training) {
      for (auto layer = graph_.layers.rbegin(); layer != graph_.layers.rend(); ++layer) backward(*layer);
    }
    PlannedValue& images = plan_.values[static_cast<std::size_t>(plan_.activation[0])];
    images.first = 0;
    images.last = options_.training ? 2 * layers_ - 1 : layers_ - 1;
    place();
    return std::move(plan_);
  }

 private:
  int backward_step(LayerId layer) const { return 2 * layers_ - 1 - layer.value; }

  int add(PlannedValue::Kind kind, LayerId layer, std::size_t bytes, int step) {
    plan_.values.push_back({kind, layer, bytes, 0, step, step});
    return static_cast<int>(plan_.values.size()) - 1;
  }
  void live(int value, int step) {
    LOCKSTEP_EXPECTS(value >= 0);
    PlannedValue& v = plan_.values[static_cast<std::size_t>(value)];
    v.last = std::max(v.last, step);
  }
  int& activation(LayerId layer) { return plan_.activation[layer.index()]; }
  int& gradient(LayerId layer) { return plan_.gradient[layer.index()]; }
  std::size_t output_bytes(LayerId layer) const {
    Shape shape = graph_.layer(layer).out;
    if (layer.value == 0 && options_.input_channels > 0) shape.c = options_.input_channels;
    return elements(shape, options_.images) * options_.element_bytes;
  }

  void forward(const Layer& layer) {
    const int step = layer.id.value;
    for (const LayerId in : layer.inputs) live(activation(in), step);
    if (layer.kind == LayerKind::SoftmaxCrossEntropy) return;
    if (layer.kind == LayerKind::Dropout && !options_.training) {
      activation(layer.id) = activation(layer.inputs[0]);
      return;
    }
    activation(layer.id) = add(PlannedValue::Kind::Activation, layer.id, output_bytes(layer.id), step);
    const LayerMemory memory = layer_memory(layer, options_);
    if (options_.training && memory.saved_bytes > 0)
      plan_.saved[layer.id.index()] = add(PlannedValue::Kind::Saved, layer.id, memory.saved_bytes, step);
  }

  /// Convolutions and linear layers can leave out their data gradient; others that read the images compute it for
  /// nobody.
  static bool needs_gradient(const Layer& layer, LayerId in) {
    return in.value != 0 || (layer.kind != LayerKind::Conv && layer.kind != LayerKind::Linear);
  }

  void backward(const Layer& layer) {
    if (layer.kind == LayerKind::Input) return;
    const int step = backward_step(layer.id);
    const LayerMemory memory = layer_memory(layer, options_);
    if (memory.keeps_input) live(activation(layer.inputs[0]), step);
    if (memory.keeps_output) live(activation(layer.id), step);
    if (plan_.saved[layer.id.index()] >= 0) live(plan_.saved[layer.id.index()], step);
    if (layer.kind != LayerKind::SoftmaxCrossEntropy) live(gradient(layer.id), step);
    for (const LayerId in : layer.inputs) plan_.targets[layer.id.index()].push_back(target(layer, in, step));
  }

  GradientTarget target(const Layer& layer, LayerId in, int step) {
    if (!needs_gradient(layer, in)) return {};
    int& sum = gradient(in);
    if (sum >= 0) {
      live(sum, step);
      return {GradientTarget::Way::Accumulate, sum};
    }
    const bool loss = layer.kind == LayerKind::SoftmaxCrossEntropy;
    sum = add(PlannedValue::Kind::Gradient, in, output_bytes(in), loss ? layer.id.value : step);
    live(sum, step);
    return {GradientTarget::Way::Write, sum};
  }

  void place() {
    std::vector<PlannedValue>& values = plan_.values;
    std::vector<std::size_t> order(values.size()), placed;
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return values[a].bytes > values[b].bytes; });
    std::vector<const PlannedValue*> rivals;
    for (const std::size_t index : order) {
      PlannedValue& v = values[index];
      rivals.clear();
      for (const std::size_t other : placed) {
        if (values[other].first <= v.last && v.first <= values[other].last) rivals.push_back(&values[other]);
      }
      std::sort(rivals.begin(), rivals.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
      v.offset = 0;
      for (const PlannedValue* rival : rivals) {
        if (v.offset + v.bytes <= rival->offset) break;
        v.offset = std::max(v.offset, aligned(rival->offset + rival->bytes));
      }
      placed.push_back(index);
      plan_.bytes = std::max(plan_.bytes, aligned(v.offset + v.bytes));
    }
    std::vector<std::size_t> live_bytes(static_cast<std::size_t>(2 * layers_));
    for (const PlannedValue& v : values) {
      for (int step = v.first; step <= v.last; ++step) live_bytes[static_cast<std::size_t>(step)] += v.bytes;
    }
    plan_.peak_bytes = *std::max_element(live_bytes.begin(), live_bytes.end());
  }

  const ModelGraph& graph_;
  const PlanOptions& options_;
  int layers_;
  MemoryPlan plan_;
};

}  // namespace

LayerMemory layer_memory(const Layer& layer, const PlanOptions& options) {
  const std::size_t out = elements(layer.out, options.images);
  switch (layer.kind) {
    case LayerKind::Conv:
    case LayerKind::Linear: return {true, false, 0};
    case LayerKind::BatchNorm: return {true, false, norm_saved(layer, options.images).bytes};
    case LayerKind::Relu: return {false, true, 0};
    case LayerKind::MaxPool: return {false, false, out};  // which value of its window won, one byte each
    case LayerKind::Lrn: return {true, false, 0};
    case LayerKind::SoftmaxCrossEntropy:
    case LayerKind::Input:
    case LayerKind::Add:
    case LayerKind::AvgPool:
    case LayerKind::Dropout: return {};
  }
  return {};
}

NormSaved norm_saved(const Layer& layer, std::int64_t images) {
  NormSaved saved;
  saved.deviation = aligned(static_cast<std::size_t>(layer.out.c) * sizeof(float));
  saved.mask = 2 * saved.deviation;
  saved.bytes = saved.mask + (layer.fused_relu ? aligned((elements(layer.out, images) + 7) / 8) : 0);
  return saved;
}

MemoryPlan plan_memory(const ModelGraph& graph, const PlanOptions& options) {
  LOCKSTEP_EXPECTS(options.images >= 1 && options.element_bytes >= 1 && !graph.layers.empty());
  return Planner(graph, options).plan();
}

}  // namespace lockstep::cuda
