// Gradients of many tensors in one contiguous bucket of the wire's type, and back.
#pragma once

#include <cuda_runtime_api.h>

#include "real/cuda/kernels/element.hpp"
#include "real/cuda/kernels/optimizer_table.cuh"
#include "real/cuda/kernels/pack_table.cuh"

namespace lockstep::cuda {

/// Tables in device memory; `chunks` = chunk_table() (optimizer.hpp) of the entries' elements.
struct PackTables {
  const PackEntry* entries = nullptr;
  const TensorChunk* chunks = nullptr;
  int chunk_count = 0;  ///< 0: nothing to do
};

/// bucket[offset + i] = data[i] scale, rounded once. One launch.
void pack(Element element, const PackTables& tables, float scale, void* bucket, cudaStream_t stream);
/// data[i] = bucket[offset + i] scale. One launch.
void unpack(Element element, const PackTables& tables, float scale, const void* bucket, cudaStream_t stream);

}  // namespace lockstep::cuda
