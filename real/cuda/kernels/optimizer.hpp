// SGD, Nesterov and every LARS variant of core/optim, for all tensors of a network in one set of launches.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>
#include <vector>

#include "real/cuda/kernels/element.hpp"
#include "real/cuda/kernels/optimizer_table.cuh"

namespace lockstep::cuda {

/// The chunks of tensors with these numbers of elements, in order; empty tensors have none. Pure.
std::vector<TensorChunk> chunk_table(std::span<const long long> elements);

/// Tables in device memory. `low`: the type of all 16-bit copies (F16 or Bf16; F32 where every TensorEntry::low is
/// null).
struct OptimizerTables {
  const TensorEntry* tensors = nullptr;
  int tensor_count = 0;
  const TensorChunk* chunks = nullptr;
  int chunk_count = 0;
  Element low = Element::F32;
};

/// Scratch of update_tensors, aligned to 256 bytes.
std::size_t optimizer_workspace_bytes(int tensor_count, int chunk_count);

struct UpdateOptions {
  UpdateRule rule{UpdateKind::Sgd, 0, 0};
  /// Without it gradients are not checked and the scale stays: SGD and Nesterov are then one launch.
  bool dynamic_scale = false;
  LossScalePolicy policy;
};

/// One optimizer step on all tensors of the tables: weights, velocities, 16-bit copies. Gradients stay as they are.
/// `loss_scale`: null stands for a constant scale of 1. With `dynamic_scale` one call must cover all tensors of the
/// network: the verdict is over the tables given, and the scale changes once per call. All ranks decide alike if their
/// gradients are the same after the allreduce.
/// Launches: SGD and Nesterov 1 (3 with `dynamic_scale`); LARS 3: partial norms, ratios and verdict, update.
/// Arithmetic: the same fp64 expressions as core, the gradient g = sum x (1 / (images x scale)), rounded to fp32 once.
/// Against core on the gradient averaged in fp64: the norms differ by the order of summing (relative n 2^-53), so
/// velocities and weights differ by at most 1 unit in the last place, and by none where neither the ratio nor a fused
/// multiply-add falls on the other side of a rounding. Throws BackendError if a launch fails.
void update_tensors(const UpdateOptions& options, const OptimizerTables& tables, const StepValuesDevice* values,
                    LossScale* loss_scale, void* workspace, cudaStream_t stream);

}  // namespace lockstep::cuda
