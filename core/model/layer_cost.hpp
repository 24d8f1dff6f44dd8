// What a layer costs: floating-point operations and bytes moved, forward and backward.
#pragma once

#include "core/base/units.hpp"
#include "core/model/graph.hpp"

namespace lockstep {

/// Work of one pass over a layer for a batch. Memory traffic counts every activation tensor once per read and once per
/// write (facts: training.md, section 6) and weights once per pass. Passes over the activation, forward + backward:
/// BatchNorm 2 + 3 if one-pass, 3 + 5 if two-pass, and 1 + 2 more with a fused addition; ReLU 2 + 3; addition 3 + 3.
struct PassCost {
  Flops flops;
  Bytes bytes;
  int kernels = 0;  ///< launches, one per primitive
};

struct LayerCost {
  PassCost forward;
  PassCost backward_data;    ///< zero for the first convolution: nobody needs the gradient of the images
  PassCost backward_weight;  ///< zero for layers without parameters; BatchNorm's is part of backward_data
};

/// Cost of `layer` for `batch` images with elements of `element_bytes`. `one_pass_norm`: BatchNorm reads its input once
/// (persistent kernels) instead of twice. The FLOPs of convolutions and linear layers are exact up to their biases, all
/// others count the operations of the formula per element. batch >= 1. Pure.
LayerCost layer_cost(const ModelGraph& graph, const Layer& layer, std::int64_t batch, int element_bytes,
                     bool one_pass_norm = true);

/// Multiply-adds of one image's forward pass through convolutions and linear layers (ResNet-50 v1.5: 4.089e9).
double forward_macs(const ModelGraph& graph);
/// FLOPs to train on one image: 2 x MACs x (forward + data gradient + weight gradient), no data gradient for the layer
/// that reads the images (ResNet-50 v1.5: 24.30e9).
Flops training_flops(const ModelGraph& graph);

}  // namespace lockstep
