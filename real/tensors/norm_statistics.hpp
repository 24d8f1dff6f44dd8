// What evaluation uses instead of the batch's own mean and variance.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/model/graph.hpp"

namespace lockstep {

/// Moving averages of every BatchNorm, in graph order: mean, then variance, per layer. Starts at mean 0, variance 1.
class NormStatistics {
 public:
  explicit NormStatistics(const ModelGraph& graph);
  std::span<float> mean(LayerId layer) { return part(layer, 0); }
  std::span<float> variance(LayerId layer) { return part(layer, 1); }
  std::vector<float>& values() { return values_; }
  const std::vector<float>& values() const { return values_; }

 private:
  std::span<float> part(LayerId layer, std::size_t which);
  std::vector<std::size_t> begin_, channels_;  // by layer
  std::vector<float> values_;
};

}  // namespace lockstep
