#include "real/tensors/norm_statistics.hpp"

#include "core/base/error.hpp"

namespace lockstep {

NormStatistics::NormStatistics(const ModelGraph& graph) : begin_(graph.layers.size()), channels_(graph.layers.size()) {
  for (const Layer& layer : graph.layers) {
    if (layer.kind != LayerKind::BatchNorm) continue;
    const auto channels = static_cast<std::size_t>(layer.out.c);
    begin_[layer.id.index()] = values_.size();
    channels_[layer.id.index()] = channels;
    values_.resize(values_.size() + channels, 0.0f);
    values_.resize(values_.size() + channels, 1.0f);
  }
}

std::span<float> NormStatistics::part(LayerId layer, std::size_t which) {
  const std::size_t channels = channels_[layer.index()];
  LOCKSTEP_EXPECTS(channels > 0);
  return std::span(values_).subspan(begin_[layer.index()] + which * channels, channels);
}

}  // namespace lockstep
