// Values of the types that tensors have, for the stand-ins of the libraries.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>
#include <vector>

namespace emulator {

enum class Type { F32, F16, Bf16 };

inline std::size_t bytes_of(Type type) { return type == Type::F32 ? 4 : 2; }

inline float get(Type type, const void* p, std::size_t i) {
  switch (type) {
    case Type::F16: return __half2float(static_cast<const __half*>(p)[i]);
    case Type::Bf16: return __bfloat162float(static_cast<const __nv_bfloat16*>(p)[i]);
    case Type::F32: break;
  }
  return static_cast<const float*>(p)[i];
}

/// Rounds to nearest even.
inline void put(Type type, void* p, std::size_t i, float v) {
  switch (type) {
    case Type::F16: static_cast<__half*>(p)[i] = __float2half_rn(v); return;
    case Type::Bf16: static_cast<__nv_bfloat16*>(p)[i] = __float2bfloat16_rn(v); return;
    case Type::F32: break;
  }
  static_cast<float*>(p)[i] = v;
}

inline std::vector<float> unpacked(Type type, const void* p, std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = get(type, p, i);
  return out;
}

/// out = alpha sum + beta out; with beta = 0 `out` is not read.
inline void deliver(Type type, const std::vector<float>& sum, float alpha, float beta, void* out) {
  for (std::size_t i = 0; i < sum.size(); ++i)
    put(type, out, i, alpha * sum[i] + (beta == 0 ? 0.0f : beta * get(type, out, i)));
}

}  // namespace emulator
