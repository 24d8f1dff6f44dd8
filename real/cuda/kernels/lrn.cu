#include "real/cuda/kernels/lrn.cuh"

#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"
#include "real/cuda/kernels/lrn.hpp"

namespace lockstep::cuda {

void lrn_forward(Element element, long long rows, int channels, const void* x, void* y, cudaStream_t stream) {
  LOCKSTEP_EXPECTS(rows >= 1 && channels >= 1);
  const long long n = rows * channels;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("lrn_forward", lrn_forward_kernel<T>, cover(n, 256), 256, stream, n, channels, static_cast<const T*>(x),
           static_cast<T*>(y));
  });
}

void lrn_backward(Element element, long long rows, int channels, const void* x, const void* dy, void* dx, bool add,
                  cudaStream_t stream) {
  LOCKSTEP_EXPECTS(rows >= 1 && channels >= 1);
  const long long n = rows * channels;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("lrn_backward", lrn_backward_kernel<T>, cover(n, 256), 256, stream, n, channels, static_cast<const T*>(x),
           static_cast<const T*>(dy), static_cast<T*>(dx), add ? 1 : 0);
  });
}

}  // namespace lockstep::cuda
