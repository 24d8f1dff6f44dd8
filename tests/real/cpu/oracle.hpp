// A network in float64 by the formulas of its layers, in plain loops; gradients by differences. Judges the network on processors.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/model/graph.hpp"

namespace lockstep::test {

/// Values of all parameter tensors, by tensor id, and the settings of a forward pass.
struct Oracle {
  const ModelGraph& graph;
  std::int64_t images = 1;
  double label_smoothing = 0, epsilon = 1e-5;
  std::vector<std::vector<double>> tensors;
  std::vector<double> input;         ///< [images, C, H, W]
  std::vector<std::int64_t> labels;  ///< -1: ignored
  /// Evaluation: mean and variance by layer; empty in training, where they come from the batch.
  std::map<std::int32_t, std::vector<double>> given_mean, given_variance;

  struct Result {
    double loss = 0;
    std::int64_t correct = 0;
    std::map<std::int32_t, std::vector<double>> mean, variance;  ///< of each batch norm, biased, by layer
    std::vector<double> logits;
  };
  /// Dropout passes values through. Cost: every multiplication of the network, one by one.
  Result forward() const;
  /// (loss(w + h) - loss(w - h)) / 2 h with h = 1e-5: errs by h^2 and by 1e-16 / h, some 1e-10 where the loss is smooth.
  double gradient(TensorId tensor, std::size_t element);
};

}  // namespace lockstep::test
