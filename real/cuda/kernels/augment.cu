#include "real/cuda/kernels/augment.cuh"

#include "real/cuda/kernels/augment.hpp"
#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"

namespace lockstep::cuda {

PixelScale pixel_scale(const std::array<double, 3>& mean, const std::array<double, 3>& deviation) {
  PixelScale p{};
  for (std::size_t c = 0; c < 3; ++c) {
    p.scale[c] = static_cast<float>(1 / (255 * deviation[c]));
    p.offset[c] = static_cast<float>(-mean[c] / deviation[c]);
  }
  return p;
}

void augment(Element element, const AugmentShape& s, const unsigned char* stored, const ImageDraw* draws,
             const PixelScale& pixels, void* out, cudaStream_t stream) {
  LOCKSTEP_EXPECTS(s.images >= 1 && s.stored_h >= 1 && s.stored_w >= 1 && s.stored_c >= 1 && s.h >= 1 && s.w >= 1 &&
                   s.c >= 1 && s.c_out >= s.c);
  const long long n = static_cast<long long>(s.images) * s.h * s.w;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("augment", augment_kernel<T>, cover(n, 256), 256, stream, s, stored, draws, pixels, static_cast<T*>(out));
  });
}

void nchw_to_nhwc(Element element, int images, int c, int h, int w, int c_out, const float* in, void* out,
                  cudaStream_t stream) {
  LOCKSTEP_EXPECTS(images >= 1 && c >= 1 && h >= 1 && w >= 1 && c_out >= c);
  const long long plane = static_cast<long long>(h) * w;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("nchw_to_nhwc", nchw_to_nhwc_kernel<T>, cover(images * plane, 256), 256, stream, images, c, plane, c_out, in,
           static_cast<T*>(out));
  });
}

}  // namespace lockstep::cuda
