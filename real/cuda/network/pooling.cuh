// Kernels of pooling over windows of NHWC images; V channels per thread. No atomics: backward passes gather.
#pragma once

#include "real/cuda/kernels/element.cuh"

namespace lockstep::cuda {

/// Windows of r x s; an output value is of one window, cells outside of the image do not count.
struct PoolingShape {
  int images, channels;
  int h, w;          ///< of the input
  int out_h, out_w;  ///< of the output
  int r, s, stride, pad;
};

/// Pixel and first channel of a thread, of images of height x width.
struct PoolingPlace {
  bool inside;
  int image, row, column, channel;
  long long at;  ///< of the value in memory
};
template <int V>
__device__ inline PoolingPlace pooling_place(const PoolingShape& p, int height, int width) {
  PoolingPlace out;
  long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  out.at = i * V;
  out.inside = out.at < static_cast<long long>(p.images) * height * width * p.channels;
  const int slots = p.channels / V;
  out.channel = static_cast<int>(i % slots) * V;
  i /= slots;
  out.column = static_cast<int>(i % width);
  i /= width;
  out.row = static_cast<int>(i % height);
  out.image = static_cast<int>(i / height);
  return out;
}

/// Cells [begin, end) of a window along one axis that lie in the image, counted from the window's first.
struct PoolingSpan {
  int begin, end;
};
__device__ inline PoolingSpan window_inside(int output, int stride, int pad, int kernel, int size) {
  const int first = output * stride - pad;
  return {first < 0 ? -first : 0, first + kernel > size ? size - first : kernel};
}
/// Outputs [begin, end) along one axis whose windows hold this cell of the image.
__device__ inline PoolingSpan windows_with(int cell, int stride, int pad, int kernel, int outputs) {
  const int most = (cell + pad) / stride + 1, above = cell + pad - kernel + 1;
  return {above > 0 ? (above + stride - 1) / stride : 0, most < outputs ? most : outputs};
}

__device__ inline long long pooling_index(int image, int row, int column, int height, int width, int channels) {
  return ((static_cast<long long>(image) * height + row) * width + column) * channels;
}

__device__ inline void load_bytes(const unsigned char* p, int (&v)[1]) { v[0] = *p; }
__device__ inline void load_bytes(const unsigned char* p, int (&v)[8]) {
  const uint2 raw = *reinterpret_cast<const uint2*>(p);
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = static_cast<int>((i < 4 ? raw.x : raw.y) >> (8 * (i % 4)) & 0xffu);
}
__device__ inline void store_bytes(const int (&v)[1], unsigned char* p) { *p = static_cast<unsigned char>(v[0]); }
__device__ inline void store_bytes(const int (&v)[8], unsigned char* p) {
  uint2 raw = {0, 0};
#pragma unroll
  for (int i = 0; i < 8; ++i) (i < 4 ? raw.x : raw.y) |= static_cast<unsigned>(v[i]) << (8 * (i % 4));
  *reinterpret_cast<uint2*>(p) = raw;
}

/// One thread per V values of y. `winner`: the cell of the window that won, row by row, or null. The first of equal
/// cells wins; a NaN wins over all.
template <class T, int V>
__global__ void max_pool_forward_kernel(PoolingShape p, const T* x, T* y, unsigned char* winner) {
  const PoolingPlace at = pooling_place<V>(p, p.out_h, p.out_w);
  if (!at.inside) return;
  const PoolingSpan rows = window_inside(at.row, p.stride, p.pad, p.r, p.h);
  const PoolingSpan columns = window_inside(at.column, p.stride, p.pad, p.s, p.w);
  float best[V] = {};
  int won[V] = {};
  bool first = true;
  for (int i = rows.begin; i < rows.end; ++i) {
    for (int j = columns.begin; j < columns.end; ++j) {
      float v[V];
      load(x +
               pooling_index(at.image, at.row * p.stride - p.pad + i, at.column * p.stride - p.pad + j, p.h, p.w,
                             p.channels) +
               at.channel,
           v);
#pragma unroll
      for (int k = 0; k < V; ++k) {
        if (first || v[k] > best[k] || (v[k] != v[k] && best[k] == best[k])) best[k] = v[k], won[k] = i * p.s + j;
      }
      first = false;
    }
  }
  store(best, y + at.at);
  if (winner != nullptr) store_bytes(won, winner + at.at);
}

/// One thread per V values of dx: the sum of dy over the windows that this cell won.
template <class T, int V>
__global__ void max_pool_backward_kernel(PoolingShape p, const unsigned char* winner, const T* dy, T* dx, bool add) {
  const PoolingPlace at = pooling_place<V>(p, p.h, p.w);
  if (!at.inside) return;
  const PoolingSpan rows = windows_with(at.row, p.stride, p.pad, p.r, p.out_h);
  const PoolingSpan columns = windows_with(at.column, p.stride, p.pad, p.s, p.out_w);
  float sum[V] = {};
  if (add) load(dx + at.at, sum);
  for (int i = rows.begin; i < rows.end; ++i) {
    for (int j = columns.begin; j < columns.end; ++j) {
      const int cell = (at.row + p.pad - i * p.stride) * p.s + at.column + p.pad - j * p.stride;
      const long long from = pooling_index(at.image, i, j, p.out_h, p.out_w, p.channels) + at.channel;
      int won[V];
      float v[V];
      load_bytes(winner + from, won);
      load(dy + from, v);
#pragma unroll
      for (int k = 0; k < V; ++k) sum[k] += won[k] == cell ? v[k] : 0.0f;
    }
  }
  store(sum, dx + at.at);
}

/// One thread per V values of y.
template <class T, int V>
__global__ void average_pool_forward_kernel(PoolingShape p, const T* x, T* y) {
  const PoolingPlace at = pooling_place<V>(p, p.out_h, p.out_w);
  if (!at.inside) return;
  const PoolingSpan rows = window_inside(at.row, p.stride, p.pad, p.r, p.h);
  const PoolingSpan columns = window_inside(at.column, p.stride, p.pad, p.s, p.w);
  float sum[V] = {};
  for (int i = rows.begin; i < rows.end; ++i) {
    for (int j = columns.begin; j < columns.end; ++j) {
      float v[V];
      load(x +
               pooling_index(at.image, at.row * p.stride - p.pad + i, at.column * p.stride - p.pad + j, p.h, p.w,
                             p.channels) +
               at.channel,
           v);
#pragma unroll
      for (int k = 0; k < V; ++k) sum[k] += v[k];
    }
  }
  const float count = static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
#pragma unroll
  for (int k = 0; k < V; ++k) sum[k] /= count;
  store(sum, y + at.at);
}

/// One thread per V values of dx: the sum of dy / cells over the windows that hold this cell.
template <class T, int V>
__global__ void average_pool_backward_kernel(PoolingShape p, const T* dy, T* dx, bool add) {
  const PoolingPlace at = pooling_place<V>(p, p.h, p.w);
  if (!at.inside) return;
  const PoolingSpan rows = windows_with(at.row, p.stride, p.pad, p.r, p.out_h);
  const PoolingSpan columns = windows_with(at.column, p.stride, p.pad, p.s, p.out_w);
  float sum[V] = {};
  if (add) load(dx + at.at, sum);
  for (int i = rows.begin; i < rows.end; ++i) {
    const PoolingSpan window_rows = window_inside(i, p.stride, p.pad, p.r, p.h);
    for (int j = columns.begin; j < columns.end; ++j) {
      const PoolingSpan window_columns = window_inside(j, p.stride, p.pad, p.s, p.w);
      const float count =
          static_cast<float>((window_rows.end - window_rows.begin) * (window_columns.end - window_columns.begin));
      float v[V];
      load(dy + pooling_index(at.image, i, j, p.out_h, p.out_w, p.channels) + at.channel, v);
#pragma unroll
      for (int k = 0; k < V; ++k) sum[k] += v[k] / count;
    }
  }
  store(sum, dx + at.at);
}

/// *to = value: a parameter of the launch reaches memory that a captured graph reads.
__global__ void store_kernel(long long value, long long* to) { *to = value; }

}  // namespace lockstep::cuda
