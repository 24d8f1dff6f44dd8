// Conversions between fp32 and the element types. Pointers of device memory, any alignment of their type; n = 0 is
// nothing to do. One launch each.
#pragma once

#include <cuda_runtime_api.h>

#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

/// y = x scale, rounded once.
void cast_from_float(Element element, long long n, const float* x, float scale, void* y, cudaStream_t stream);
/// y = x scale, or y += x scale.
void cast_to_float(Element element, long long n, const void* x, float scale, float* y, bool add, cudaStream_t stream);
/// y = value.
void fill(Element element, long long n, float value, void* y, cudaStream_t stream);

}  // namespace lockstep::cuda
