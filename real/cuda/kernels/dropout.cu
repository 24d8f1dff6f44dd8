#include "real/cuda/kernels/dropout.cuh"

#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/dropout.hpp"
#include "real/cuda/kernels/launch.hpp"

namespace lockstep::cuda {

void dropout(const DropoutShape& s, DropoutKey key, const long long* position, const void* x, void* y, bool add,
             cudaStream_t stream) {
  LOCKSTEP_EXPECTS(s.images >= 1 && s.pixels >= 1 && s.channels >= 1);
  const long long n = s.images * s.pixels * s.channels;
  with_type(s.element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("dropout", dropout_kernel<T>, cover((n + 7) / 8, 256), 256, stream, s.images, s.pixels, s.channels, key.low,
           key.high, position, static_cast<const T*>(x), static_cast<T*>(y), add ? 1 : 0);
  });
}

}  // namespace lockstep::cuda
