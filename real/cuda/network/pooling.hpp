// Pooling over windows of NHWC images, and a value set from the host.
//
// Own kernels rather than cudnnPooling*: these take bf16 on every version, keep one byte per output instead of both
// activations, add into gradients, and give equal bits always. Pointers of device memory, aligned to 16 bytes. One
// launch each; throws BackendError if it fails.
#pragma once

#include <cuda_runtime_api.h>

#include "core/model/graph.hpp"
#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

/// y = the largest value of each window; a NaN in the window wins, of equal values the first. `winner`: one byte per
/// value of y, kept for the backward pass; null in evaluation. Windows of at most 255 cells.
void max_pool_forward(Element element, const Layer& layer, int images, const void* x, void* y, unsigned char* winner,
                      cudaStream_t stream);
/// Gives each dy to the cell that won; with `add`, dx += that.
void max_pool_backward(Element element, const Layer& layer, int images, const unsigned char* winner, const void* dy,
                       void* dx, bool add, cudaStream_t stream);
/// Mean over the cells of each window that lie in the image; layer.r = 0: over the whole image.
void average_pool_forward(Element element, const Layer& layer, int images, const void* x, void* y, cudaStream_t stream);
void average_pool_backward(Element element, const Layer& layer, int images, const void* dy, void* dx, bool add,
                           cudaStream_t stream);

/// *to = value in stream order, without a buffer on the host that would have to stay.
void store_value(long long value, long long* to, cudaStream_t stream);

}  // namespace lockstep::cuda
