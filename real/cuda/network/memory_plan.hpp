// Which bytes of one allocation hold each activation, gradient and saved value, and when. Pure; no CUDA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/model/graph.hpp"

namespace lockstep::cuda {

struct PlanOptions {
  std::int64_t images = 1;
  std::size_t element_bytes = 2;  ///< of activations and their gradients
  bool training = true;
  int input_channels = 0;  ///< of the images on the device; 0: the graph's own
};

/// Something that occupies memory during [first, last] steps. With L layers, the forward pass of layer i is step i, its
/// backward pass step 2 L - 1 - i. What a step reads and what it writes are both live in it.
struct PlannedValue {
  enum class Kind { Activation, Gradient, Saved };
  Kind kind = Kind::Activation;
  LayerId layer;  ///< Activation, Gradient: of this layer's output. Saved: what this layer keeps for its backward pass
  std::size_t bytes = 0, offset = 0;
  int first = 0, last = 0;
};

/// Where a layer's backward pass puts the gradient of one of its inputs.
struct GradientTarget {
  enum class Way {
    None,       ///< nobody needs it
    Write,      ///< this layer is the first to write it
    Accumulate  ///< another layer wrote it: this one adds, rounding each sum once
  };
  Way way = Way::None;
  int value = -1;  ///< the input's gradient, an index into MemoryPlan::values
};

/// What a layer keeps from its forward pass to its backward pass, beside its input and output.
struct LayerMemory {
  bool keeps_input = false, keeps_output = false;
  std::size_t saved_bytes = 0;
};
LayerMemory layer_memory(const Layer& layer, const PlanOptions& options);

/// Parts of what a batch norm saves: mean and inverse deviation (fp32 per channel) at 0 and `deviation`, the mask of
/// its ReLU at `mask`.
struct NormSaved {
  std::size_t deviation = 0, mask = 0, bytes = 0;
};
NormSaved norm_saved(const Layer& layer, std::int64_t images);

/// A static plan. Activations are kept until the last backward pass that reads them (evaluation: until their last
/// reader is done), gradients from their first writer (the loss writes in its forward pass) to the backward pass that
/// consumes them; values that are never live together may share bytes. The images (activation of layer 0) share with
/// nothing, so that the next batch can be written at any time between two passes. Since gradients take the place of
/// activations that are done with, a forward pass serves exactly one backward pass.
struct MemoryPlan {
  std::vector<PlannedValue> values;
  std::vector<int> activation;  ///< by layer; -1: none (the loss); of dropout in evaluation: its input's
  std::vector<int> gradient;    ///< by layer; -1: none
  std::vector<int> saved;       ///< by layer; -1: none
  std::vector<std::vector<GradientTarget>> targets;  ///< by layer, by input; empty in evaluation
  std::size_t bytes = 0;                             ///< of the allocation
  std::size_t peak_bytes = 0;                        ///< most that is live in one step: no plan needs less
};

/// Offsets are multiples of 256 bytes. Largest values first, each at the lowest offset that is free during its life.
/// Cost: quadratic in the number of values, some 10 ms for ResNet-50.
MemoryPlan plan_memory(const ModelGraph& graph, const PlanOptions& options);

}  // namespace lockstep::cuda
