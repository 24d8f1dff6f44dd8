// Bias of fully connected layers (and of convolutions) on [rows, channels].
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

/// y[r, c] += bias[c], in place. `bias`: fp32. One launch.
void add_bias(Element element, long long rows, int channels, const float* bias, void* y, cudaStream_t stream);

/// Scratch of bias_gradient, aligned to 256 bytes.
std::size_t bias_gradient_workspace_bytes(long long rows, int channels);
/// gradient[c] = sum over rows of dy[r, c], written or added, fp32. fp32 within a block, fp64 beyond, in a fixed order.
/// dy aligned to 16 bytes. Two launches.
void bias_gradient(Element element, long long rows, int channels, const void* dy, float* gradient, bool add,
                   void* workspace, cudaStream_t stream);

}  // namespace lockstep::cuda
