// Batch normalisation of [rows, channels]; batch_norm.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/columns.cuh"

namespace lockstep::cuda {

/// V bits of a mask, from bit `i` on; with V = 8, i is a multiple of 8.
template <int V>
__device__ inline unsigned mask_bits(const unsigned char* mask, long long i) {
  return V == 8 ? mask[i / 8] : (mask[i / 8] >> (i % 8)) & 1u;
}

/// First stage: per part and channel the sums of x - s and (x - s)^2, s = x in the first row.
template <class T, int V>
__global__ void __launch_bounds__(kColumnThreads)
    batch_norm_partial(const T* x, long long rows, int channels, ColumnGrid grid, float* partial) {
  const ColumnPlace<V> at(grid, rows);
  float sums[2 * V] = {};
  if (at.channel < channels) {
    float shift[V];
    load(x + at.channel, shift);
#pragma unroll 4
    for (long long r = at.row; r < at.end; r += at.lanes) {
      float v[V];
      load(x + r * channels + at.channel, v);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float d = v[i] - shift[i];
        sums[i] += d;
        sums[V + i] += d * d;
      }
    }
  }
  write_partial<V, 2>(sums, grid, at, channels, partial);
}

struct BatchNormMoments {
  float *mean, *inverse_deviation, *average_mean, *average_variance;
  double momentum, epsilon;
};

/// Second stage: mean and inverse standard deviation, and the moving averages.
template <class T>
__global__ void __launch_bounds__(kFinalThreads)
    batch_norm_moments(const T* x, long long rows, int channels, int parts, const float* partial, BatchNormMoments to) {
  double sums[2];
  const int c = final_sums<2>(partial, parts, channels, sums);
  if (c < 0) return;
  const double n = static_cast<double>(rows), shifted = sums[0] / n;
  const double mean = static_cast<double>(to_float(x[c])) + shifted;
  double variance = sums[1] / n - shifted * shifted;
  if (variance < 0) variance = 0;  // and a NaN stays
  to.mean[c] = static_cast<float>(mean);
  to.inverse_deviation[c] = static_cast<float>(1 / sqrt(variance + to.epsilon));
  if (to.average_mean == nullptr) return;
  const double unbiased = rows > 1 ? n / (n - 1) : 1, keep = to.momentum;
  to.average_mean[c] = static_cast<float>(keep * static_cast<double>(to.average_mean[c]) + (1 - keep) * mean);
  to.average_variance[c] =
      static_cast<float>(keep * static_cast<double>(to.average_variance[c]) + (1 - keep) * unbiased * variance);
}

/// `spread`: inverse standard deviation; with `of_variance` a variance that epsilon is added to.
struct BatchNormScale {
  const float *mean, *spread, *gamma, *beta;
  float epsilon;
  int of_variance, relu;
  __device__ float factor(int c) const {
    return gamma[c] * (of_variance != 0 ? 1.0f / sqrtf(spread[c] + epsilon) : spread[c]);
  }
};

/// y = (x - mean) factor + beta + addend, then ReLU; channels in vectors of eight.
template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    batch_norm_apply(const T* x, const T* addend, T* y, unsigned char* mask, long long rows, int channels,
                     ColumnGrid grid, BatchNormScale scale) {
  const ColumnPlace<8> at(grid, rows);
  if (at.channel >= channels) return;
  float mean[8], factor[8], beta[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    mean[i] = scale.mean[at.channel + i];
    factor[i] = scale.factor(at.channel + i);
    beta[i] = scale.beta[at.channel + i];
  }
  for (long long r = at.row; r < at.end; r += at.lanes) {
    const long long index = r * channels + at.channel;
    float v[8], other[8] = {};
    load8(x + index, v);
    if (addend != nullptr) load8(addend + index, other);
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      v[i] = (v[i] - mean[i]) * factor[i] + beta[i] + other[i];
      if (v[i] > 0) bits |= 1u << i;
      if (scale.relu != 0 && v[i] <= 0) v[i] = 0;
    }
    store8(v, y + index);
    if (mask != nullptr) mask[index / 8] = static_cast<unsigned char>(bits);
  }
}

/// The same for any number of channels: a thread takes eight values in the order of memory, whatever their channels.
template <class T>
__global__ void batch_norm_apply_any(const T* x, const T* addend, T* y, unsigned char* mask, long long rows,
                                     int channels, BatchNormScale scale) {
  const long long n = rows * channels, first = first_of_eight();
  unsigned bits = 0;
  for (long long i = first; i < first + 8 && i < n; ++i) {
    const int c = static_cast<int>(i % channels);
    float v = (to_float(x[i]) - scale.mean[c]) * scale.factor(c) + scale.beta[c];
    if (addend != nullptr) v += to_float(addend[i]);
    if (v > 0) bits |= 1u << (i - first);
    if (scale.relu != 0 && v <= 0) v = 0;
    put(v, y + i);
  }
  if (mask != nullptr && first < n) mask[first / 8] = static_cast<unsigned char>(bits);
}

/// First stage of backward: per part and channel the sums of d and d (x - mean), d = dy where the mask (if any) is set.
template <class T, int V>
__global__ void __launch_bounds__(kColumnThreads)
    batch_norm_backward_partial(const T* x, const T* dy, const unsigned char* mask, const float* mean, long long rows,
                                int channels, ColumnGrid grid, float* partial) {
  const ColumnPlace<V> at(grid, rows);
  float sums[2 * V] = {};
  if (at.channel < channels) {
    float centre[V];
#pragma unroll
    for (int i = 0; i < V; ++i) centre[i] = mean[at.channel + i];
#pragma unroll 4
    for (long long r = at.row; r < at.end; r += at.lanes) {
      const long long index = r * channels + at.channel;
      float v[V], d[V];
      load(x + index, v);
      load(dy + index, d);
      const unsigned bits = mask != nullptr ? mask_bits<V>(mask, index) : 255u;
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float slope = (bits >> i & 1u) != 0 ? d[i] : 0.0f;
        sums[i] += slope;
        sums[V + i] += slope * (v[i] - centre[i]);
      }
    }
  }
  write_partial<V, 2>(sums, grid, at, channels, partial);
}

/// Second stage: the gradients of gamma and beta, and for the last: [3, channels] factors a, b, c of dx = a d - b - c
/// (x - mean).
__global__ void __launch_bounds__(kFinalThreads)
    batch_norm_backward_sums(const float* partial, long long rows, int channels, int parts, const float* gamma,
                             const float* inverse_deviation, float* dgamma, float* dbeta, int add, float* factors) {
  double sums[2];
  const int c = final_sums<2>(partial, parts, channels, sums);
  if (c < 0) return;
  const double n = static_cast<double>(rows), inverse = static_cast<double>(inverse_deviation[c]);
  const double a = static_cast<double>(gamma[c]) * inverse, along = sums[1] * inverse;
  dbeta[c] = static_cast<float>((add != 0 ? static_cast<double>(dbeta[c]) : 0.0) + sums[0]);
  dgamma[c] = static_cast<float>((add != 0 ? static_cast<double>(dgamma[c]) : 0.0) + along);
  factors[c] = static_cast<float>(a);
  factors[channels + c] = static_cast<float>(a * sums[0] / n);
  factors[2 * channels + c] = static_cast<float>(a * inverse * along / n);
}

template <class T>
struct BatchNormSlopes {
  const T *x, *dy;
  const unsigned char* mask;
  const float *mean, *factors;
  T *dx, *d_addend;
  int add_dx, add_addend;
};

/// dx and the addend's gradient; channels in vectors of eight.
template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    batch_norm_backward_apply(BatchNormSlopes<T> s, long long rows, int channels, ColumnGrid grid) {
  const ColumnPlace<8> at(grid, rows);
  if (at.channel >= channels) return;
  float mean[8], a[8], b[8], c[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    mean[i] = s.mean[at.channel + i];
    a[i] = s.factors[at.channel + i];
    b[i] = s.factors[channels + at.channel + i];
    c[i] = s.factors[2 * channels + at.channel + i];
  }
  for (long long r = at.row; r < at.end; r += at.lanes) {
    const long long index = r * channels + at.channel;
    float v[8], d[8], before[8] = {}, addend_before[8] = {};
    load8(s.x + index, v);
    load8(s.dy + index, d);
    if (s.dx != nullptr && s.add_dx != 0) load8(s.dx + index, before);
    if (s.d_addend != nullptr && s.add_addend != 0) load8(s.d_addend + index, addend_before);
    const unsigned bits = s.mask != nullptr ? s.mask[index / 8] : 255u;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if ((bits >> i & 1u) == 0) d[i] = 0;
      v[i] = a[i] * d[i] - b[i] - c[i] * (v[i] - mean[i]) + before[i];
      d[i] += addend_before[i];
    }
    if (s.d_addend != nullptr) store8(d, s.d_addend + index);
    if (s.dx != nullptr) store8(v, s.dx + index);
  }
}

/// The same for any number of channels.
template <class T>
__global__ void batch_norm_backward_apply_any(BatchNormSlopes<T> s, long long rows, int channels) {
  const long long n = rows * channels, first = first_of_eight();
  for (long long i = first; i < first + 8 && i < n; ++i) {
    const int c = static_cast<int>(i % channels);
    const float d = s.mask == nullptr || mask_bits<1>(s.mask, i) != 0 ? to_float(s.dy[i]) : 0.0f;
    float v = s.factors[c] * d - s.factors[channels + c] - s.factors[2 * channels + c] * (to_float(s.x[i]) - s.mean[c]);
    if (s.dx != nullptr && s.add_dx != 0) v += to_float(s.dx[i]);
    if (s.d_addend != nullptr) put(s.add_addend != 0 ? to_float(s.d_addend[i]) + d : d, s.d_addend + i);
    if (s.dx != nullptr) put(v, s.dx + i);
  }
}

}  // namespace lockstep::cuda
