#include "real/cuda/kernels/cast.hpp"

#include "real/cuda/kernels/cast.cuh"
#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"

namespace lockstep::cuda {

namespace {

constexpr int kThreads = 256;

dim3 blocks(long long n) { return cover((n + 7) / 8, kThreads); }

}  // namespace

void cast_from_float(Element element, long long n, const float* x, float scale, void* y, cudaStream_t stream) {
  if (n == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = aligned16({x, y}) ? cast_from_float_kernel<T, true> : cast_from_float_kernel<T, false>;
    launch("cast_from_float", kernel, blocks(n), kThreads, stream, n, x, scale, static_cast<T*>(y));
  });
}

void cast_to_float(Element element, long long n, const void* x, float scale, float* y, bool add, cudaStream_t stream) {
  if (n == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = aligned16({x, y}) ? cast_to_float_kernel<T, true> : cast_to_float_kernel<T, false>;
    launch("cast_to_float", kernel, blocks(n), kThreads, stream, n, static_cast<const T*>(x), scale, y, add ? 1 : 0);
  });
}

void fill(Element element, long long n, float value, void* y, cudaStream_t stream) {
  if (n == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = aligned16({y}) ? fill_kernel<T, true> : fill_kernel<T, false>;
    launch("fill", kernel, blocks(n), kThreads, stream, n, value, static_cast<T*>(y));
  });
}

}  // namespace lockstep::cuda
