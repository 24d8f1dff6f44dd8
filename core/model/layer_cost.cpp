#include "core/model/layer_cost.hpp"

#include "core/base/error.hpp"

namespace lockstep {

namespace {

/// Multiply-adds of one image.
double macs(const Layer& layer) {
  if (layer.kind == LayerKind::Conv) {
    const int channels = layer.in.c / layer.groups;
    return static_cast<double>(layer.out.elements()) * channels * layer.r * layer.s;
  }
  if (layer.kind == LayerKind::Linear)
    return static_cast<double>(layer.in.elements()) * static_cast<double>(layer.out.elements());
  return 0;
}

bool reads_images(const ModelGraph& graph, const Layer& layer) {
  return !layer.inputs.empty() && graph.layer(layer.inputs.front()).kind == LayerKind::Input;
}

}  // namespace

LayerCost layer_cost(const ModelGraph& graph, const Layer& layer, std::int64_t batch, int element_bytes,
                     bool one_pass_norm) {
  LOCKSTEP_EXPECTS(batch >= 1 && element_bytes >= 1);
  const std::int64_t in = layer.in.elements() * batch, out = layer.out.elements() * batch;
  // Passes over activations, and elements of weights, become bytes here.
  const auto pass = [&](double flops, std::int64_t elements, std::int64_t weights, int kernels) {
    return PassCost{Flops(flops), Bytes((elements + weights) * element_bytes), kernels};
  };
  LayerCost c;
  switch (layer.kind) {
    case LayerKind::Input: break;
    case LayerKind::Conv:
    case LayerKind::Linear: {
      const double flops = 2 * macs(layer) * static_cast<double>(batch);
      const std::int64_t weights = layer.kind == LayerKind::Conv
                                       ? std::int64_t{layer.out.c} * (layer.in.c / layer.groups) * layer.r * layer.s
                                       : layer.in.elements() * layer.out.elements();
      c.forward = pass(flops, in + out, weights, 1);
      if (!reads_images(graph, layer)) c.backward_data = pass(flops, out + in, weights, 1);
      // The gradient of the bias is a kernel of its own, which reads the output's gradient once more.
      c.backward_weight = pass(flops, in + out + (layer.bias ? out : 0), weights, layer.bias ? 2 : 1);
      break;
    }
    case LayerKind::BatchNorm: {
      // Two-pass: statistics read x once more, and their gradients read x and dy once more.
      const int forward = (one_pass_norm ? 2 : 3) + (layer.fused_add ? 1 : 0);
      const int backward = (one_pass_norm ? 3 : 5) + (layer.fused_add ? 2 : 0);
      // Operations per element (Ioffe and Szegedy 2015, algorithm 1): mean 1, variance 3, normalise 2, scale and shift
      // 2; backward: normalise again 2, sums of dy and of dy x^ 3, dx = gamma / sigma (dy - mean - x^ mean) 4.
      const int fused = layer.fused_add + layer.fused_relu;
      c.forward = pass((8. + fused) * static_cast<double>(out), forward * out, 0, 1);
      c.backward_data = pass((9. + layer.fused_relu) * static_cast<double>(out), backward * out, 0, 1);
      break;
    }
    case LayerKind::Relu:
      c.forward = pass(static_cast<double>(out), 2 * out, 0, 1);
      c.backward_data = pass(static_cast<double>(out), 3 * out, 0, 1);
      break;
    case LayerKind::Add:
      c.forward = pass(static_cast<double>(out), 3 * out, 0, 1);
      c.backward_data = pass(static_cast<double>(out), 3 * out, 0, 1);
      break;
    case LayerKind::MaxPool:
      c.forward = pass(static_cast<double>(out) * layer.r * layer.s, in + out, 0, 1);
      c.backward_data = pass(static_cast<double>(in), 2 * in + out, 0, 1);
      break;
    case LayerKind::AvgPool:
      c.forward = pass(static_cast<double>(in), in + out, 0, 1);
      c.backward_data = pass(static_cast<double>(in), in + out, 0, 1);
      break;
    case LayerKind::Lrn:
      c.forward = pass(10. * static_cast<double>(out), 2 * out, 0, 1);
      c.backward_data = pass(20. * static_cast<double>(out), 4 * out, 0, 1);
      break;
    case LayerKind::Dropout:
      c.forward = pass(static_cast<double>(out), 2 * out, 0, 1);
      c.backward_data = pass(static_cast<double>(out), 3 * out, 0, 1);
      break;
    case LayerKind::SoftmaxCrossEntropy:
      c.forward = pass(5. * static_cast<double>(out), 2 * out, 0, 1);
      c.backward_data = pass(2. * static_cast<double>(out), 2 * out, 0, 1);
      break;
  }
  return c;
}

double forward_macs(const ModelGraph& graph) {
  double total = 0;
  for (const Layer& layer : graph.layers) total += macs(layer);
  return total;
}

Flops training_flops(const ModelGraph& graph) {
  double total = 0;
  for (const Layer& layer : graph.layers) total += 2 * macs(layer) * (reads_images(graph, layer) ? 2 : 3);
  return Flops(total);
}

}  // namespace lockstep
