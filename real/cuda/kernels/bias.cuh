// Bias on [rows, channels]; bias.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/columns.cuh"

namespace lockstep::cuda {

template <class T>
__global__ void add_bias_kernel(long long n, int channels, const float* bias, T* y) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) put(to_float(y[i]) + bias[i % channels], y + i);
}

template <class T, int V>
__global__ void __launch_bounds__(kColumnThreads)
    bias_partial(const T* dy, long long rows, int channels, ColumnGrid grid, float* partial) {
  const ColumnPlace<V> at(grid, rows);
  float sums[V] = {};
  if (at.channel < channels) {
#pragma unroll 4
    for (long long r = at.row; r < at.end; r += at.lanes) {
      float v[V];
      load(dy + r * channels + at.channel, v);
#pragma unroll
      for (int i = 0; i < V; ++i) sums[i] += v[i];
    }
  }
  write_partial<V, 1>(sums, grid, at, channels, partial);
}

__global__ void __launch_bounds__(kFinalThreads)
    bias_sums(const float* partial, int channels, int parts, float* gradient, int add) {
  double sums[1];
  const int c = final_sums<1>(partial, parts, channels, sums);
  if (c >= 0) gradient[c] = static_cast<float>((add != 0 ? static_cast<double>(gradient[c]) : 0.0) + sums[0]);
}

}  // namespace lockstep::cuda
