// The least memory that a training step needs, and the least that it moves: bounds that no implementation beats.
#pragma once

#include "core/base/units.hpp"
#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep::check {

/// Bytes on one GPU for a micro-step of `batch` images: master weights, velocity and gradients, in half precision the working weights too, and
/// what backward must find again: the inputs of convolutions and linear layers and what batch norms read. Work space, buckets and the
/// framework come on top. batch >= 1. ResNet-50 in fp16: about 40 MB per image and 0.31 GB.
Bytes least_memory(const ModelGraph& graph, Precision precision, std::int64_t batch);

/// Bytes that training on one image reads and writes at least if every element-wise layer were free: convolutions and linear layers read their
/// inputs and write their outputs, forward and in both gradients. Weights are left out. ResNet-50 in fp16: about 0.13 GB.
Bytes least_traffic(const ModelGraph& graph, Precision precision);

}  // namespace lockstep::check
