// Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3): d = 2 + 1e-4 sum of x^2 over 5
// channels, y = x / d^0.75.
//
// [rows, channels] in NHWC, device memory. Channels beyond the ends count as 0. One launch each.
#pragma once

#include <cuda_runtime_api.h>

#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

/// y must not be x.
void lrn_forward(Element element, long long rows, int channels, const void* x, void* y, cudaStream_t stream);
/// dx_i = dy_i d_i^-0.75 - 1.5e-4 x_i sum over j within 2 of i of dy_j x_j d_j^-1.75; with `add`, dx += that. dx must
/// be neither x nor dy.
void lrn_backward(Element element, long long rows, int channels, const void* x, const void* dy, void* dx, bool add,
                  cudaStream_t stream);

}  // namespace lockstep::cuda
