#include "real/cuda/network/pooling.cuh"

#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"
#include "real/cuda/network/pooling.hpp"

namespace lockstep::cuda {

namespace {

constexpr int kThreads = 256;

PoolingShape pooling_shape(const Layer& l, int images) {
  if (l.r == 0) return {images, l.in.c, l.in.h, l.in.w, 1, 1, l.in.h, l.in.w, 1, 0};
  return {images, l.in.c, l.in.h, l.in.w, l.out.h, l.out.w, l.r, l.s, l.stride, l.pad};
}

/// Channels per thread.
template <int kChannels>
struct WidthTag {
  static constexpr int value = kChannels;
};

/// Calls f(TypeTag, WidthTag).
template <class F>
void with_width(Element element, int channels, F f) {
  with_type(element, [&](auto type) { channels % 8 == 0 ? f(type, WidthTag<8>{}) : f(type, WidthTag<1>{}); });
}

}  // namespace

void max_pool_forward(Element element, const Layer& layer, int images, const void* x, void* y, unsigned char* winner,
                      cudaStream_t stream) {
  const PoolingShape p = pooling_shape(layer, images);
  LOCKSTEP_EXPECTS(p.r * p.s <= 255);
  with_width(element, p.channels, [&](auto type, auto width) {
    using T = typename decltype(type)::type;
    constexpr int V = decltype(width)::value;
    launch("max_pool_forward", max_pool_forward_kernel<T, V>, cover(images * layer.out.elements() / V, kThreads),
           kThreads, stream, p, static_cast<const T*>(x), static_cast<T*>(y), winner);
  });
}

void max_pool_backward(Element element, const Layer& layer, int images, const unsigned char* winner, const void* dy,
                       void* dx, bool add, cudaStream_t stream) {
  const PoolingShape p = pooling_shape(layer, images);
  with_width(element, p.channels, [&](auto type, auto width) {
    using T = typename decltype(type)::type;
    constexpr int V = decltype(width)::value;
    launch("max_pool_backward", max_pool_backward_kernel<T, V>, cover(images * layer.in.elements() / V, kThreads),
           kThreads, stream, p, winner, static_cast<const T*>(dy), static_cast<T*>(dx), add);
  });
}

void average_pool_forward(Element element, const Layer& layer, int images, const void* x, void* y,
                          cudaStream_t stream) {
  const PoolingShape p = pooling_shape(layer, images);
  with_width(element, p.channels, [&](auto type, auto width) {
    using T = typename decltype(type)::type;
    constexpr int V = decltype(width)::value;
    launch("average_pool_forward", average_pool_forward_kernel<T, V>,
           cover(images * layer.out.elements() / V, kThreads), kThreads, stream, p, static_cast<const T*>(x),
           static_cast<T*>(y));
  });
}

void average_pool_backward(Element element, const Layer& layer, int images, const void* dy, void* dx, bool add,
                           cudaStream_t stream) {
  const PoolingShape p = pooling_shape(layer, images);
  with_width(element, p.channels, [&](auto type, auto width) {
    using T = typename decltype(type)::type;
    constexpr int V = decltype(width)::value;
    launch("average_pool_backward", average_pool_backward_kernel<T, V>,
           cover(images * layer.in.elements() / V, kThreads), kThreads, stream, p, static_cast<const T*>(dy),
           static_cast<T*>(dx), add);
  });
}

void store_value(long long value, long long* to, cudaStream_t stream) {
  launch("store_value", store_kernel, dim3(1), dim3(1), stream, value, to);
}

}  // namespace lockstep::cuda
