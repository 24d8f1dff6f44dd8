// Sums over the threads of a block, in one fixed order.
#pragma once

namespace lockstep::cuda {

__device__ inline double warp_sum(double x) {
#pragma unroll
  for (int k = 16; k > 0; k /= 2) x += __shfl_xor_sync(0xffffffffu, x, k);
  return x;
}

/// The sum over a one-dimensional block of a multiple of 32 threads, in every thread. `shared`: 32 values, free again
/// after the next barrier.
__device__ inline double block_sum(double x, double* shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  x = warp_sum(x);
  __syncthreads();
  if (lane == 0) shared[warp] = x;
  __syncthreads();
  x = lane < warps ? shared[lane] : 0.0;
  return warp_sum(x);
}

/// The largest value likewise; a NaN is ignored unless all are.
__device__ inline double block_max(double x, double* shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
#pragma unroll
  for (int k = 16; k > 0; k /= 2) x = fmax(x, __shfl_xor_sync(0xffffffffu, x, k));
  __syncthreads();
  if (lane == 0) shared[warp] = x;
  __syncthreads();
  x = shared[lane < warps ? lane : 0];
#pragma unroll
  for (int k = 16; k > 0; k /= 2) x = fmax(x, __shfl_xor_sync(0xffffffffu, x, k));
  return x;
}

}  // namespace lockstep::cuda
