// Conversions; cast.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/element.cuh"

namespace lockstep::cuda {

template <class T, bool kVector>
__global__ void cast_from_float_kernel(long long n, const float* x, float scale, T* y) {
  const long long i = first_of_eight();
  if (i >= n) return;
  float v[8];
  load_some<kVector>(x, i, n, v);
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] *= scale;
  store_some<kVector>(v, y, i, n);
}

template <class T, bool kVector>
__global__ void cast_to_float_kernel(long long n, const T* x, float scale, float* y, int add) {
  const long long i = first_of_eight();
  if (i >= n) return;
  float v[8], before[8] = {};
  load_some<kVector>(x, i, n, v);
  if (add != 0) load_some<kVector>(y, i, n, before);
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = v[k] * scale + before[k];
  store_some<kVector>(v, y, i, n);
}

template <class T, bool kVector>
__global__ void fill_kernel(long long n, float value, T* y) {
  const long long i = first_of_eight();
  if (i >= n) return;
  float v[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = value;
  store_some<kVector>(v, y, i, n);
}

}  // namespace lockstep::cuda
