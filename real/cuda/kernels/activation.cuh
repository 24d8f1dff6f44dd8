// Element-wise layers; activation.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/element.cuh"

namespace lockstep::cuda {

template <class T, bool kVector>
__global__ void relu_forward_kernel(long long n, const T* x, T* y) {
  const long long i = first_of_eight();
  if (i >= n) return;
  float v[8];
  load_some<kVector>(x, i, n, v);
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = v[k] <= 0 ? 0.0f : v[k];
  store_some<kVector>(v, y, i, n);
}

template <class T, bool kVector>
__global__ void relu_backward_kernel(long long n, const T* y, const T* dy, T* dx, int add) {
  const long long i = first_of_eight();
  if (i >= n) return;
  float v[8], d[8], before[8] = {};
  load_some<kVector>(y, i, n, v);
  load_some<kVector>(dy, i, n, d);
  if (add != 0) load_some<kVector>(dx, i, n, before);
#pragma unroll
  for (int k = 0; k < 8; ++k) d[k] = (v[k] > 0 ? d[k] : 0.0f) + before[k];
  store_some<kVector>(d, dx, i, n);
}

template <class T, bool kVector>
__global__ void add_kernel(long long n, const T* a, const T* b, T* y, int relu) {
  const long long i = first_of_eight();
  if (i >= n) return;
  float v[8], w[8];
  load_some<kVector>(a, i, n, v);
  load_some<kVector>(b, i, n, w);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    v[k] += w[k];
    if (relu != 0 && v[k] <= 0) v[k] = 0;
  }
  store_some<kVector>(v, y, i, n);
}

}  // namespace lockstep::cuda
