#include "real/cuda/kernels/images.cuh"

#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/images.hpp"
#include "real/cuda/kernels/launch.hpp"

namespace lockstep::cuda {

void prepare_images(Element element, const InputShape& s, const unsigned char* packed, const PackedImage* images,
                    const PixelScale& scale, const ColourScratch& colours, void* out, cudaStream_t stream) {
  LOCKSTEP_EXPECTS(s.images >= 1 && s.h >= 1 && s.w >= 1 && s.c >= 1 && s.c_out >= s.c);
  const long long plane = static_cast<long long>(s.h) * s.w;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = static_cast<T*>(out);
    launch("prepare_rows", prepare_rows<T>, cover(static_cast<long long>(s.images) * s.h, 1), kImageThreads, stream,
           s.h, s.w, s.c, s.c_out, packed, images, scale, colours.pixels, to);
    if (colours.pixels == nullptr) return;
    LOCKSTEP_EXPECTS(s.c == 3 && colours.means != nullptr);
    launch("mean_lumas", mean_lumas, cover(s.images, 1), kImageThreads, stream, plane, images, colours.pixels,
           colours.means);
    launch("recolour", recolour<T>, cover(s.images * plane, kImageThreads), kImageThreads, stream, s.images, s.h, s.w,
           s.c_out, images, scale, colours.pixels, colours.means, to);
  });
}

}  // namespace lockstep::cuda
