// Takes the place of the real launch.hpp where kernels run on the emulator: the same function, by emulator::run.
#pragma once

#include <cuda_runtime_api.h>

#include "tests/real/cuda/kernels/emulator.hpp"

namespace lockstep::cuda {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t, const A&... args) {
  emulator::run(name, grid, block, [&] { kernel(static_cast<P>(args)...); });
}

}  // namespace lockstep::cuda
