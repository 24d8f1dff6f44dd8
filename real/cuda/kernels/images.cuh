// The network's input; images.hpp says what is computed. Products and sums are rounded one by one, as the host does.
#pragma once

#include "real/cuda/kernels/block_sum.cuh"
#include "real/cuda/kernels/element.cuh"
#include "real/data/image_table.hpp"

namespace lockstep::cuda {

constexpr int kImageThreads = 256;

__device__ inline float normalised(float v, const PixelScale& p, int channel) {
  const int as = channel < 2 ? channel : 2;
  return __fadd_rn(__fmul_rn(v, p.scale[as]), p.offset[as]);
}

__device__ inline float luma(const float (&v)[3]) {
  return __fadd_rn(__fadd_rn(__fmul_rn(0.299f, v[0]), __fmul_rn(0.587f, v[1])), __fmul_rn(0.114f, v[2]));
}

/// Step `k` of a pixel's colour changes.
__device__ inline void change(const ColourChange& colours, int k, float mean, float (&v)[3]) {
  const float towards = colours.order[k] == 2 ? luma(v) : colours.order[k] == 1 ? mean : 0.0f;
#pragma unroll
  for (int c = 0; c < 3; ++c) v[c] = __fadd_rn(towards, __fmul_rn(__fadd_rn(v[c], -towards), colours.factor[k]));
}

/// One block per row of an image. Images whose colours change go to `raw` [images, h, w, 3], not flipped and not normalised.
template <class T>
__global__ void __launch_bounds__(kImageThreads)
    prepare_rows(int h, int w, int c, int c_out, const unsigned char* packed, const PackedImage* images,
                 PixelScale scale, float* raw, T* out) {
  __shared__ float mixed[kMostMixed];
  const int image = static_cast<int>(blockIdx.x) / h, y = static_cast<int>(blockIdx.x) % h;
  const int thread = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  const PackedImage& v = images[image];
  const unsigned char *data = packed + v.at, *pixels = v.elsewhere != nullptr ? v.elsewhere : data;
  T* row = out + static_cast<long long>(blockIdx.x) * w * c_out;
  if (v.kind == PackedImage::Prepared) {
    const float* from = reinterpret_cast<const float*>(data);
    for (int x = thread; x < w; x += step) {
      for (int k = 0; k < c_out; ++k)
        put(k < c ? from[(static_cast<long long>(k) * h + y) * w + x] : 0.0f, row + x * c_out + k);
    }
    return;
  }
  if (v.kind == PackedImage::Laid) {
    const int from_y = y - v.top;
    for (int x = thread; x < w; x += step) {
      const int from_x = (v.flip != 0 ? w - 1 - x : x) - v.left;
      const bool inside = from_y >= 0 && from_y < v.h && from_x >= 0 && from_x < v.w;
      const unsigned char* p = inside ? pixels + (static_cast<long long>(from_y) * v.w + from_x) * v.c : pixels;
      for (int k = 0; k < c_out; ++k) {
        float value = 0;
        if (k < c && inside) {
          value = normalised(static_cast<float>(p[k < v.c ? k : v.c - 1]), scale, k);
        } else if (k < c && v.c == 1) {
          value = scale.offset[k < 2 ? k : 2];
        }
        put(value, row + x * c_out + k);
      }
    }
    return;
  }
  const int* first_x = reinterpret_cast<const int*>(data + v.taps);
  const float* weight_x = reinterpret_cast<const float*>(first_x + w);
  const int* first_y = reinterpret_cast<const int*>(weight_x + static_cast<long long>(w) * v.across);
  const float* weight_y = reinterpret_cast<const float*>(first_y + h) + static_cast<long long>(y) * v.down;
  const long long stride = static_cast<long long>(v.w) * v.c;
  const unsigned char* top = pixels + first_y[y] * stride;
  for (int begin = 0; begin < w; begin += v.columns) {
    const int end = begin + v.columns < w ? begin + v.columns : w, left = first_x[begin];
    const int width = (first_x[end - 1] + v.across - left) * v.c;
    for (int i = thread; i < width; i += step) {
      const unsigned char* p = top + static_cast<long long>(left) * v.c + i;
      float sum = 0;
      for (int t = 0; t < v.down; ++t, p += stride)
        sum = __fadd_rn(sum, __fmul_rn(weight_y[t], static_cast<float>(*p)));
      mixed[i] = sum;
    }
    __syncthreads();
    for (int x = begin + thread; x < end; x += step) {
      const float *p = mixed + (first_x[x] - left) * v.c, *weight = weight_x + static_cast<long long>(x) * v.across;
      T* to = row + (v.flip != 0 ? w - 1 - x : x) * c_out;
      for (int k = 0; k < c_out; ++k) {
        float sum = 0;
        const int channel = k < v.c ? k : v.c - 1;
        for (int t = 0; k < c && t < v.across; ++t) sum = __fadd_rn(sum, __fmul_rn(weight[t], p[t * v.c + channel]));
        if (v.recolour == 0) {
          put(k < c ? normalised(sum, scale, k) : 0.0f, to + k);
        } else if (k < 3) {
          raw[(static_cast<long long>(blockIdx.x) * w + x) * 3 + k] = sum;
        }
      }
    }
    __syncthreads();
  }
}

/// One block per image: the mean luma that its contrast step sees.
__global__ void __launch_bounds__(kImageThreads)
    mean_lumas(long long plane, const PackedImage* images, const float* raw, float* means) {
  __shared__ double shared[32];
  const PackedImage& v = images[blockIdx.x];
  if (v.recolour == 0) return;
  int before = 0;
  while (before < v.colours.steps && v.colours.order[before] != 1) ++before;
  if (before == v.colours.steps) return;
  double sum = 0;
  for (long long i = threadIdx.x; i < plane; i += blockDim.x) {
    const float* p = raw + (blockIdx.x * plane + i) * 3;
    float pixel[3] = {p[0], p[1], p[2]};
    for (int k = 0; k < before; ++k) change(v.colours, k, 0.0f, pixel);
    sum += static_cast<double>(luma(pixel));
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) means[blockIdx.x] = static_cast<float>(sum / static_cast<double>(plane));
}

/// One thread per pixel of `raw`.
template <class T>
__global__ void recolour(int count, int h, int w, int c_out, const PackedImage* images, PixelScale scale,
                         const float* raw, const float* means, T* out) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const long long plane = static_cast<long long>(h) * w;
  if (i >= count * plane) return;
  const PackedImage& v = images[i / plane];
  if (v.recolour == 0) return;
  float pixel[3] = {raw[3 * i], raw[3 * i + 1], raw[3 * i + 2]};
  for (int k = 0; k < v.colours.steps; ++k)
    change(v.colours, k, v.colours.order[k] == 1 ? means[i / plane] : 0.0f, pixel);
  const int x = static_cast<int>(i % w);
  T* to = out + (v.flip != 0 ? i - x + (w - 1 - x) : i) * c_out;
  for (int k = 0; k < c_out; ++k)
    put(k < 3 ? normalised(__fadd_rn(pixel[k < 3 ? k : 2], v.colours.shift[k < 3 ? k : 2]), scale, k) : 0.0f, to + k);
}

}  // namespace lockstep::cuda
