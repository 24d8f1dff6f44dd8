// From values to template arguments and grids. For .cu files.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <initializer_list>

#include "core/base/error.hpp"
#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

template <class T>
struct TypeTag {
  using type = T;
};

/// Calls f(TypeTag<T>) with the type of `element`.
template <class F>
void with_type(Element element, F&& f) {
  switch (element) {
    case Element::F32: return f(TypeTag<float>{});
    case Element::F16: return f(TypeTag<__half>{});
    case Element::Bf16: return f(TypeTag<__nv_bfloat16>{});
  }
}

/// Calls f(BoolTag) with a value the compiler knows.
template <bool kValue>
struct BoolTag {
  static constexpr bool value = kValue;
};
template <class F>
void with_bool(bool value, F&& f) {
  value ? f(BoolTag<true>{}) : f(BoolTag<false>{});
}

/// True if all pointers (null too) can be read 16 bytes at a time.
inline bool aligned16(std::initializer_list<const void*> pointers) {
  for (const void* p : pointers) {
    if (reinterpret_cast<std::uintptr_t>(p) % 16 != 0) return false;
  }
  return true;
}

/// Blocks of `threads` that cover `n` items. n <= threads x (2^31 - 1).
inline dim3 cover(long long n, int threads) {
  const long long blocks = (n + threads - 1) / threads;
  LOCKSTEP_EXPECTS(n >= 0 && blocks <= 2147483647LL);
  return dim3(static_cast<unsigned>(blocks));
}

}  // namespace lockstep::cuda
