#include "experiments/check/step_memory.hpp"

#include <set>

#include "core/base/error.hpp"
#include "core/spec/gpu_spec.hpp"

namespace lockstep::check {

namespace {

bool computes(LayerKind k) { return k == LayerKind::Conv || k == LayerKind::Linear; }

}  // namespace

Bytes least_memory(const ModelGraph& graph, Precision precision, std::int64_t batch) {
  LOCKSTEP_EXPECTS(batch >= 1);
  const std::int64_t element = element_bytes(precision);
  std::set<std::size_t> kept;  // layers whose output backward reads; several readers share one tensor
  for (const Layer& layer : graph.layers) {
    if (!computes(layer.kind) && layer.kind != LayerKind::BatchNorm) continue;
    for (LayerId input : layer.inputs) kept.insert(input.index());
  }
  std::int64_t activations = 0;
  for (std::size_t i : kept) activations += graph.layers[i].out.elements();
  const std::int64_t per_parameter = 4 + 4 + element + (is_half(precision) ? 2 : 0);
  return Bytes(activations * element * batch + graph.parameters() * per_parameter);
}

Bytes least_traffic(const ModelGraph& graph, Precision precision) {
  std::int64_t elements = 0;
  for (const Layer& layer : graph.layers) {
    if (!computes(layer.kind)) continue;
    const bool reads_images = graph.layer(layer.inputs.at(0)).kind == LayerKind::Input;
    const std::int64_t both = layer.in.elements() + layer.out.elements();
    elements += both + both + (reads_images ? 0 : both);  // forward; gradient of the weights; of the input
  }
  return Bytes(elements * element_bytes(precision));
}

}  // namespace lockstep::check
