// Weights before the first step.
#pragma once

#include <cstdint>

#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"
#include "real/tensors/tensor_set.hpp"

namespace lockstep {

/// Convolutions: normal, variance 2 / (K R S / groups) (He et al. 2015, arXiv:1502.01852, by outputs; Goyal et al. 2017, section 5.1). Fully connected layers, by
/// `training.linear_init`: Goyal: normal with deviation 0.01 (Goyal, for 2,048 inputs); FanIn: uniform within 1 / sqrt(inputs), deviation 1 / sqrt(3 inputs) (PyTorch's
/// default of a linear layer). A layer of few inputs wants FanIn: LARS moves a tensor by a share of its norm, and 0.01 leaves it nearly
/// no norm. Biases and beta 0; gamma 1, or 0 with `training.zero_gamma` where the layer ends a residual block. Each tensor has its own stream of (seed, name), so every
/// rank draws the same weights and nothing is broadcast. Pure.
void initialise(const ModelGraph& graph, std::uint64_t seed, const TrainingSpec& training, TensorSet& weights);

}  // namespace lockstep
