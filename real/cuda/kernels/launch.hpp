// Kernel launches. For .cu files.
#pragma once

#include <cuda_runtime_api.h>

#include "real/cuda/base/check.hpp"

namespace lockstep::cuda {

/// Queues `kernel`; throws BackendError if it cannot be launched.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, const A&... args) {
  kernel<<<grid, block, 0, stream>>>(static_cast<P>(args)...);
  check_launch(name);
}

}  // namespace lockstep::cuda
