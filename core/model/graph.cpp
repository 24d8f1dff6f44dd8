#include "core/model/graph.hpp"

#include <functional>
#include <numeric>

#include "core/base/error.hpp"

namespace lockstep {

std::int64_t ParamTensor::elements() const {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
}

std::int64_t ModelGraph::parameters() const {
  std::int64_t total = 0;
  for (const auto& tensor : tensors) total += tensor.elements();
  return total;
}

GraphBuilder::GraphBuilder(std::string name, Shape input) {
  graph_.name = std::move(name);
  Layer layer;
  layer.name = "input";
  layer.kind = LayerKind::Input;
  layer.in = layer.out = input;
  append(std::move(layer));
}

LayerId GraphBuilder::append(Layer layer) {
  layer.id = LayerId(static_cast<std::int64_t>(graph_.layers.size()));
  if (!layer.inputs.empty()) layer.in = graph_.layer(layer.inputs.front()).out;
  if (layer.out == Shape{}) layer.out = layer.in;
  LOCKSTEP_EXPECTS(layer.out.c > 0 && layer.out.h > 0 && layer.out.w > 0);
  graph_.layers.push_back(std::move(layer));
  return graph_.layers.back().id;
}

void GraphBuilder::parameter(LayerId layer, const std::string& suffix, TensorRole role,
                             std::vector<std::int64_t> dims) {
  ParamTensor t;
  t.id = TensorId(static_cast<std::int64_t>(graph_.tensors.size()));
  t.name = graph_.layer(layer).name + "." + suffix;
  t.layer = layer;
  t.role = role;
  t.dims = std::move(dims);
  graph_.tensors.push_back(std::move(t));
}

namespace {

int window_count(int in, int kernel, int stride, int pad) { return (in + 2 * pad - kernel) / stride + 1; }

Layer layer_of(LayerKind kind, const std::string& name, std::vector<LayerId> inputs) {
  Layer layer;
  layer.kind = kind;
  layer.name = name;
  layer.inputs = std::move(inputs);
  return layer;
}

}  // namespace

LayerId GraphBuilder::conv(const std::string& name, LayerId in, int k, int kernel, int stride, int pad, bool bias,
                           int groups) {
  const Shape from = graph_.layer(in).out;
  LOCKSTEP_EXPECTS(from.c % groups == 0 && k % groups == 0);
  Layer layer = layer_of(LayerKind::Conv, name, {in});
  layer.r = layer.s = kernel;
  layer.stride = stride;
  layer.pad = pad;
  layer.groups = groups;
  layer.bias = bias;
  layer.out = {k, window_count(from.h, kernel, stride, pad), window_count(from.w, kernel, stride, pad)};
  const LayerId id = append(std::move(layer));
  parameter(id, "weight", TensorRole::Weight, {k, from.c / groups, kernel, kernel});
  if (bias) parameter(id, "bias", TensorRole::Bias, {k});
  return id;
}

LayerId GraphBuilder::batch_norm(const std::string& name, LayerId in, bool gamma_zero) {
  Layer layer = layer_of(LayerKind::BatchNorm, name, {in});
  layer.gamma_zero = gamma_zero;
  const LayerId id = append(std::move(layer));
  const std::int64_t c = graph_.layer(id).out.c;
  parameter(id, "weight", TensorRole::Gamma, {c});
  parameter(id, "bias", TensorRole::Beta, {c});
  return id;
}

LayerId GraphBuilder::relu(const std::string& name, LayerId in) {
  return append(layer_of(LayerKind::Relu, name, {in}));
}

LayerId GraphBuilder::add(const std::string& name, LayerId a, LayerId b) {
  LOCKSTEP_EXPECTS(graph_.layer(a).out == graph_.layer(b).out);
  return append(layer_of(LayerKind::Add, name, {a, b}));
}

LayerId GraphBuilder::max_pool(const std::string& name, LayerId in, int kernel, int stride, int pad) {
  const Shape from = graph_.layer(in).out;
  Layer layer = layer_of(LayerKind::MaxPool, name, {in});
  layer.r = layer.s = kernel;
  layer.stride = stride;
  layer.pad = pad;
  layer.out = {from.c, window_count(from.h, kernel, stride, pad), window_count(from.w, kernel, stride, pad)};
  return append(std::move(layer));
}

LayerId GraphBuilder::global_avg_pool(const std::string& name, LayerId in) {
  Layer layer = layer_of(LayerKind::AvgPool, name, {in});
  layer.out = {graph_.layer(in).out.c, 1, 1};
  return append(std::move(layer));
}

LayerId GraphBuilder::lrn(const std::string& name, LayerId in) { return append(layer_of(LayerKind::Lrn, name, {in})); }
LayerId GraphBuilder::dropout(const std::string& name, LayerId in) {
  return append(layer_of(LayerKind::Dropout, name, {in}));
}

LayerId GraphBuilder::linear(const std::string& name, LayerId in, int out) {
  const std::int64_t features = graph_.layer(in).out.elements();
  Layer layer = layer_of(LayerKind::Linear, name, {in});
  layer.bias = true;
  layer.out = {out, 1, 1};
  const LayerId id = append(std::move(layer));
  parameter(id, "weight", TensorRole::Weight, {out, features});
  parameter(id, "bias", TensorRole::Bias, {out});
  return id;
}

ModelGraph GraphBuilder::finish(LayerId logits) && {
  graph_.classes = graph_.layer(logits).out.c;
  append(layer_of(LayerKind::SoftmaxCrossEntropy, "loss", {logits}));
  return std::move(graph_);
}

ModelGraph fuse(const ModelGraph& graph) {
  std::vector<std::vector<LayerId>> readers(graph.layers.size());
  for (const Layer& layer : graph.layers) {
    for (LayerId in : layer.inputs) readers[in.index()].push_back(layer.id);
  }
  const auto only_reader = [&](LayerId id, LayerKind kind) {
    const auto& r = readers[id.index()];
    return r.size() == 1 && graph.layer(r.front()).kind == kind ? r.front() : LayerId();
  };

  // absorbed_by[l]: the BatchNorm that does layer l's work; it is emitted where its last absorbed layer stood.
  std::vector<LayerId> absorbed_by(graph.layers.size()), emitted_at(graph.layers.size());
  std::vector<Layer> fused(graph.layers.begin(), graph.layers.end());
  // Backwards, so that of two norms before an addition the later one takes it: its other input is then known already.
  for (auto it = graph.layers.rbegin(); it != graph.layers.rend(); ++it) {
    const Layer& bn = *it;
    if (bn.kind != LayerKind::BatchNorm) continue;
    Layer& f = fused[bn.id.index()];
    LayerId last = bn.id;
    if (const LayerId add = only_reader(bn.id, LayerKind::Add); add && !absorbed_by[add.index()]) {
      const LayerId relu = only_reader(add, LayerKind::Relu);
      if (relu) {
        const auto& in = graph.layer(add).inputs;
        f.inputs.push_back(in[0] == bn.id ? in[1] : in[0]);
        f.fused_add = f.fused_relu = true;
        absorbed_by[add.index()] = absorbed_by[relu.index()] = bn.id;
        last = relu;
      }
    } else if (const LayerId relu = only_reader(bn.id, LayerKind::Relu)) {
      f.fused_relu = true;
      absorbed_by[relu.index()] = bn.id;
      last = relu;
    }
    emitted_at[bn.id.index()] = last;
  }

  ModelGraph out;
  out.name = graph.name;
  out.classes = graph.classes;
  out.tensors = graph.tensors;
  std::vector<LayerId> renamed(graph.layers.size());
  const auto emit = [&](Layer layer) {
    const LayerId old = layer.id;
    layer.id = LayerId(static_cast<std::int64_t>(out.layers.size()));
    for (LayerId& in : layer.inputs) in = renamed[in.index()];
    renamed[old.index()] = layer.id;
    out.layers.push_back(std::move(layer));
  };
  for (const Layer& layer : graph.layers) {
    const LayerId owner = absorbed_by[layer.id.index()] ? absorbed_by[layer.id.index()] : layer.id;
    const bool norm = fused[owner.index()].kind == LayerKind::BatchNorm;
    if (norm && emitted_at[owner.index()] != layer.id) continue;  // comes later
    emit(fused[owner.index()]);
    renamed[layer.id.index()] = renamed[owner.index()];
    // Readers of what was absorbed in between read the fused layer.
    for (const Layer& absorbed : graph.layers) {
      if (absorbed_by[absorbed.id.index()] == owner) renamed[absorbed.id.index()] = renamed[owner.index()];
    }
  }
  for (auto& tensor : out.tensors) tensor.layer = renamed[tensor.layer.index()];
  return out;
}

}  // namespace lockstep
