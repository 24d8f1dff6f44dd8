// Runs kernels on a processor: .cu files compiled as host C++, with this file included before all others.
//
// Blocks run one after another. The threads of a block are fibers: each runs to its next barrier or shuffle, then the
// next one of its warp; a warp runs to the block's barrier, then the next warp; all in order or in reverse. Shared
// memory is static, so one block at a time may use it. What a run checks: every thread of a block reaches the same
// __syncthreads(), every thread of a warp the same shuffles (full masks only). What it cannot find: races inside a
// barrier interval that neither order of threads shows, alignment, and whatever the real compiler does.
#pragma once

#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

// Device code calls these without a namespace.
using std::isfinite;

// The runtime's headers define it as nothing for host compilers.
#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)

namespace emulator {

/// Of the fiber that runs.
inline uint3 thread_index{}, block_index{};
inline dim3 block_size{}, grid_size{};

enum class Order { Forward, Reversed };
/// In which order run() takes blocks, and the threads of a block.
inline Order order = Order::Forward;

/// Names of the kernels launched since it was last cleared.
inline std::vector<std::string> launched;

/// One launch; those of several threads take turns. Throws std::logic_error naming the kernel where threads part at a barrier, or for a block that no GPU
/// would take.
void run(const char* name, dim3 grid, dim3 block, const std::function<void()>& kernel);

/// Puts a launch on its stream, in the emulated runtime; without a stream calls it at once.
void launch(cudaStream_t stream, std::function<void()> kernel);

void block_barrier();
/// Gives `value` to the other lanes of the warp and takes that of lane `source`; `bytes` <= 8.
void exchange(void* value, std::size_t bytes, unsigned source);

}  // namespace emulator

#define threadIdx emulator::thread_index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size

// One rounding each: kernels are compiled without fused products.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }

inline void __syncthreads() { emulator::block_barrier(); }

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  emulator::exchange(&value, sizeof(T), (threadIdx.x % 32) ^ static_cast<unsigned>(mask));
  return value;
}
