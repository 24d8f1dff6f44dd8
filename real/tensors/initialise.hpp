// Weights before the first step.
#pragma once

#include <cstdint>

#include "core/model/graph.hpp"
#include "real/tensors/tensor_set.hpp"

namespace lockstep {

/// Convolutions: normal, variance 2 / (K R S / groups) (He et al. 2015, arXiv:1502.01852, by outputs; Goyal et al. 2017, section 5.1). Fully connected: normal with
/// deviation 0.01 (Goyal). Biases and beta 0; gamma 1, or 0 with `zero_gamma` where the layer ends a residual block. Each tensor has its own
/// stream of (seed, name), so every rank draws the same weights and nothing is broadcast. Pure.
void initialise(const ModelGraph& graph, std::uint64_t seed, bool zero_gamma, TensorSet& weights);

}  // namespace lockstep
