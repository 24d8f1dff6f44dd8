// Element-wise layers: ReLU and additions, for networks or joins that are not fused into batch norm.
//
// Pointers are of device memory, `n` values of `element` each; loads are 16 bytes wide where all pointers are aligned
// so. n = 0 is nothing to do.
// One launch each; throws BackendError if it fails.
#pragma once

#include <cuda_runtime_api.h>

#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

/// y = max(x, 0); a NaN stays NaN. y may be x.
void relu_forward(Element element, long long n, const void* x, void* y, cudaStream_t stream);
/// dx = dy where y > 0, else 0; with `add`, dx += that. y: the output (or the input: the same signs). dx may be dy.
void relu_backward(Element element, long long n, const void* y, const void* dy, void* dx, bool add,
                   cudaStream_t stream);
/// y = a + b, then ReLU if `relu`. y may be a or b.
void add(Element element, long long n, const void* a, const void* b, void* y, bool relu, cudaStream_t stream);
/// y += x.
void accumulate(Element element, long long n, const void* x, void* y, cudaStream_t stream);

}  // namespace lockstep::cuda
