// Takes the place of the real launch.hpp where kernels run on the emulator: the same function, by emulator::run.
#pragma once

#include <cuda_runtime_api.h>

#include "tests/real/cuda/emulation/emulator.hpp"

namespace lockstep::cuda {

/// Arguments are copied when it is called, as for a real launch. Without a stream it runs at once, and throws what the
/// kernel throws.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, const A&... args) {
  emulator::launch(stream, [=] { emulator::run(name, grid, block, [&] { kernel(static_cast<P>(args)...); }); });
}

}  // namespace lockstep::cuda
