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

int window_count(int in, int kernel, int stride, int pad) {
  LOCKSTEP_EXPECTS(kernel >= 1 && stride >= 1 && pad >= 0 && in + 2 * pad >= kernel);
  return (in + 2 * pad - kernel) / stride + 1;
}

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
  LOCKSTEP_EXPECTS(groups >= 1 && from.c % groups == 0 && k % groups == 0);
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

}  // namespace lockstep
