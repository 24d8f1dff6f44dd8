// The network's input; augment.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/augment_table.cuh"
#include "real/cuda/kernels/element.cuh"

namespace lockstep::cuda {

/// One thread per pixel of the output.
template <class T>
__global__ void augment_kernel(AugmentShape s, const unsigned char* stored, const ImageDraw* draws, PixelScale pixels,
                               T* out) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const long long plane = static_cast<long long>(s.h) * s.w;
  if (i >= s.images * plane) return;
  const ImageDraw draw = draws[i / plane];
  const int y = static_cast<int>(i % plane) / s.w, x = static_cast<int>(i % plane) % s.w;
  const int from_y = y - draw.top, from_x = (draw.flip != 0 ? s.w - 1 - x : x) - draw.left;
  const bool inside = from_y >= 0 && from_y < s.stored_h && from_x >= 0 && from_x < s.stored_w;
  const unsigned char* p =
      inside ? stored + ((draw.image * s.stored_h + from_y) * s.stored_w + from_x) * s.stored_c : stored;
  T* to = out + i * s.c_out;
  for (int c = 0; c < s.c_out; ++c) {
    float v = 0;
    if (c < s.c) {
      const int as = c < 2 ? c : 2;
      if (inside) {
        v = static_cast<float>(p[c < s.stored_c ? c : s.stored_c - 1]) * pixels.scale[as] + pixels.offset[as];
      } else if (s.stored_c == 1) {
        v = pixels.offset[as];
      }
    }
    put(v, to + c);
  }
}

template <class T>
__global__ void nchw_to_nhwc_kernel(int images, int c, long long plane, int c_out, const float* in, T* out) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= images * plane) return;
  const float* from = in + i / plane * c * plane + i % plane;
  for (int k = 0; k < c_out; ++k) put(k < c ? from[k * plane] : 0.0f, out + i * c_out + k);
}

}  // namespace lockstep::cuda
