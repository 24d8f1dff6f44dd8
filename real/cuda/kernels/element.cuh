// Loads and stores of the element types, one or eight values at a time. Arithmetic between them is fp32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace lockstep::cuda {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ inline void put(float x, float* to) { *to = x; }
__device__ inline void put(float x, __half* to) { *to = __float2half_rn(x); }
__device__ inline void put(float x, __nv_bfloat16* to) { *to = __float2bfloat16_rn(x); }

// Raw structs are the one way from bits to values that every toolkit and the host know.
__device__ inline float bits_to_float(unsigned bits, const __half*) {
  __half_raw raw;
  raw.x = static_cast<unsigned short>(bits & 0xffffu);
  return to_float(__half(raw));
}
__device__ inline float bits_to_float(unsigned bits, const __nv_bfloat16*) {
  __nv_bfloat16_raw raw;
  raw.x = static_cast<unsigned short>(bits & 0xffffu);
  return to_float(__nv_bfloat16(raw));
}
__device__ inline unsigned float_to_bits(float x, const __half*) {
  const __half_raw raw = __float2half_rn(x);
  return raw.x;
}
__device__ inline unsigned float_to_bits(float x, const __nv_bfloat16*) {
  const __nv_bfloat16_raw raw = __float2bfloat16_rn(x);
  return raw.x;
}

/// Eight consecutive values at a 16-byte boundary.
__device__ inline void load8(const float* p, float (&v)[8]) {
  const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}
template <class T>
__device__ inline void load8(const T* p, float (&v)[8]) {
  const uint4 raw = *reinterpret_cast<const uint4*>(p);
  const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = bits_to_float(words[i], p);
    v[2 * i + 1] = bits_to_float(words[i] >> 16, p);
  }
}

__device__ inline void store8(const float (&v)[8], float* p) {
  reinterpret_cast<float4*>(p)[0] = float4{v[0], v[1], v[2], v[3]};
  reinterpret_cast<float4*>(p)[1] = float4{v[4], v[5], v[6], v[7]};
}
template <class T>
__device__ inline void store8(const float (&v)[8], T* p) {
  unsigned words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) words[i] = float_to_bits(v[2 * i], p) | float_to_bits(v[2 * i + 1], p) << 16;
  *reinterpret_cast<uint4*>(p) = uint4{words[0], words[1], words[2], words[3]};
}

template <class T>
__device__ inline void load(const T* p, float (&v)[8]) {
  load8(p, v);
}
template <class T>
__device__ inline void load(const T* p, float (&v)[1]) {
  v[0] = to_float(*p);
}
template <class T>
__device__ inline void store(const float (&v)[8], T* p) {
  store8(v, p);
}
template <class T>
__device__ inline void store(const float (&v)[1], T* p) {
  put(v[0], p);
}

/// Values i to i + 7 of n; zeros beyond the end. `kVector`: p is aligned to 16 bytes and i is a multiple of 8.
template <bool kVector, class T>
__device__ inline void load_some(const T* p, long long i, long long n, float (&v)[8]) {
  if (kVector && i + 8 <= n) {
    load8(p + i, v);
    return;
  }
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = i + k < n ? to_float(p[i + k]) : 0.0f;
}
template <bool kVector, class T>
__device__ inline void store_some(const float (&v)[8], T* p, long long i, long long n) {
  if (kVector && i + 8 <= n) {
    store8(v, p + i);
    return;
  }
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    if (i + k < n) put(v[k], p + i + k);
  }
}

/// Where this thread's eight values start, if a grid covers an array of them.
__device__ inline long long first_of_eight() {
  return (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
}

}  // namespace lockstep::cuda
