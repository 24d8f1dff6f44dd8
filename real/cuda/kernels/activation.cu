#include "real/cuda/kernels/activation.hpp"

#include "real/cuda/kernels/activation.cuh"
#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"

namespace lockstep::cuda {

namespace {

constexpr int kThreads = 256;

dim3 blocks(long long n) { return cover((n + 7) / 8, kThreads); }

}  // namespace

void relu_forward(Element element, long long n, const void* x, void* y, cudaStream_t stream) {
  if (n == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = aligned16({x, y}) ? relu_forward_kernel<T, true> : relu_forward_kernel<T, false>;
    launch("relu_forward", kernel, blocks(n), kThreads, stream, n, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

void relu_backward(Element element, long long n, const void* y, const void* dy, void* dx, bool add,
                   cudaStream_t stream) {
  if (n == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = aligned16({y, dy, dx}) ? relu_backward_kernel<T, true> : relu_backward_kernel<T, false>;
    launch("relu_backward", kernel, blocks(n), kThreads, stream, n, static_cast<const T*>(y), static_cast<const T*>(dy),
           static_cast<T*>(dx), add ? 1 : 0);
  });
}

void add(Element element, long long n, const void* a, const void* b, void* y, bool relu, cudaStream_t stream) {
  if (n == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = aligned16({a, b, y}) ? add_kernel<T, true> : add_kernel<T, false>;
    launch("add", kernel, blocks(n), kThreads, stream, n, static_cast<const T*>(a), static_cast<const T*>(b),
           static_cast<T*>(y), relu ? 1 : 0);
  });
}

void accumulate(Element element, long long n, const void* x, void* y, cudaStream_t stream) {
  add(element, n, y, x, y, false, stream);
}

}  // namespace lockstep::cuda
