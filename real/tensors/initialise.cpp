#include "real/tensors/initialise.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/rng.hpp"

namespace lockstep {

void initialise(const ModelGraph& graph, std::uint64_t seed, bool zero_gamma, TensorSet& weights) {
  for (const ParamTensor& t : graph.tensors) {
    const std::span<float> values = weights[t.id];
    const Layer& layer = graph.layer(t.layer);
    if (t.role == TensorRole::Weight) {
      const auto fan_out = static_cast<double>(t.dims[0]) * layer.r * layer.s / layer.groups;
      const double sigma = layer.kind == LayerKind::Conv ? std::sqrt(2 / fan_out) : 0.01;
      Rng rng(seed, "weights " + t.name);
      for (float& v : values) v = static_cast<float>(sigma * rng.normal());
    } else {
      const bool one = t.role == TensorRole::Gamma && !(zero_gamma && layer.gamma_zero);
      std::fill(values.begin(), values.end(), one ? 1.0f : 0.0f);
    }
  }
}

}  // namespace lockstep
