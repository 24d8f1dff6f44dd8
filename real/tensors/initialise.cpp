#include "real/tensors/initialise.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/rng.hpp"

namespace lockstep {

namespace {

/// One draw after another for the weights of `layer`, of dimensions `dims`.
float draw(const Layer& layer, const std::vector<std::int64_t>& dims, LinearInit linear, Rng& rng) {
  if (layer.kind == LayerKind::Conv) {
    const auto fan_out = static_cast<double>(dims[0]) * layer.r * layer.s / layer.groups;
    return static_cast<float>(std::sqrt(2 / fan_out) * rng.normal());
  }
  if (linear == LinearInit::Goyal) return static_cast<float>(0.01 * rng.normal());
  return static_cast<float>((2 * rng.uniform() - 1) / std::sqrt(static_cast<double>(dims[1])));
}

}  // namespace

void initialise(const ModelGraph& graph, std::uint64_t seed, const TrainingSpec& training, TensorSet& weights) {
  for (const ParamTensor& t : graph.tensors) {
    const std::span<float> values = weights[t.id];
    const Layer& layer = graph.layer(t.layer);
    if (t.role == TensorRole::Weight) {
      Rng rng(seed, "weights " + t.name);
      for (float& v : values) v = draw(layer, t.dims, training.linear_init, rng);
    } else {
      const bool one = t.role == TensorRole::Gamma && !(training.zero_gamma && layer.gamma_zero);
      std::fill(values.begin(), values.end(), one ? 1.0f : 0.0f);
    }
  }
}

}  // namespace lockstep
