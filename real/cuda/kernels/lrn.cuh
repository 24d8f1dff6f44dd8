// Local response normalisation; lrn.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/element.cuh"

namespace lockstep::cuda {

constexpr int kLrnReach = 2;
constexpr float kLrnAlpha = 1e-4f, kLrnBias = 2.0f;

/// The denominator of channel c of a row.
template <class T>
__device__ inline float lrn_denominator(const T* row, int channels, int c) {
  float sum = 0;
  for (int j = c - kLrnReach; j <= c + kLrnReach; ++j) {
    if (j < 0 || j >= channels) continue;
    const float v = to_float(row[j]);
    sum += v * v;
  }
  return kLrnBias + kLrnAlpha * sum;
}

/// d^-0.75 by square roots, which are correctly rounded; powf is not.
__device__ inline float lrn_power(float d) {
  const float root = sqrtf(d);
  return 1.0f / (root * sqrtf(root));
}

template <class T>
__global__ void lrn_forward_kernel(long long n, int channels, const T* x, T* y) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const int c = static_cast<int>(i % channels);
  put(to_float(x[i]) * lrn_power(lrn_denominator(x + (i - c), channels, c)), y + i);
}

template <class T>
__global__ void lrn_backward_kernel(long long n, int channels, const T* x, const T* dy, T* dx, int add) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const int c = static_cast<int>(i % channels);
  const T *row = x + (i - c), *slopes = dy + (i - c);
  float along = 0, direct = 0;
  for (int j = c - kLrnReach; j <= c + kLrnReach; ++j) {
    if (j < 0 || j >= channels) continue;
    const float d = lrn_denominator(row, channels, j), power = lrn_power(d), slope = to_float(slopes[j]);
    along += slope * to_float(row[j]) * power / d;
    if (j == c) direct = slope * power;
  }
  const float v = direct - 1.5f * kLrnAlpha * to_float(x[i]) * along;
  put(add != 0 ? to_float(dx[i]) + v : v, dx + i);
}

}  // namespace lockstep::cuda
