// Sums over the rows of [rows, channels]: how blocks and threads share the work, and both stages of the sum.
//
// A block covers `width` x V channels and `rows_per_part` rows; its 256 threads are `width` slots of V channels by 256
// / width lanes of rows. Every block writes its sums; a second kernel adds those of the parts in fp64. The order
// follows from rows and channels alone.
#pragma once

#include "real/cuda/kernels/column_grid.cuh"
#include "real/cuda/kernels/element.cuh"

namespace lockstep::cuda {

/// Where a thread of such a block works.
template <int V>
struct ColumnPlace {
  int lane, lanes, slot, channel;
  long long row, end;  ///< of its rows row, row + lanes, ...
  __device__ ColumnPlace(const ColumnGrid& grid, long long rows) {
    const int thread = static_cast<int>(threadIdx.x);
    slot = thread % grid.width;
    lane = thread / grid.width;
    lanes = kColumnThreads / grid.width;
    channel = (static_cast<int>(blockIdx.x) * grid.width + slot) * V;
    const long long begin = blockIdx.y * grid.rows_per_part;
    row = begin + lane;
    end = begin + grid.rows_per_part < rows ? begin + grid.rows_per_part : rows;
  }
};

/// Adds v over the lanes of each slot; the sums are those of lane 0. `shared`: N x 256 values. All threads of the block
/// call it.
template <int N>
__device__ inline void lane_sums(float (&v)[N], int width, int lane, float* shared) {
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int i = 0; i < N; ++i) shared[i * kColumnThreads + thread] = v[i];
  for (int half = kColumnThreads / width / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
#pragma unroll
      for (int i = 0; i < N; ++i) {
        v[i] += shared[i * kColumnThreads + thread + half * width];
        shared[i * kColumnThreads + thread] = v[i];
      }
    }
  }
}

/// First stage: `partial` is [parts, kSums, channels]; v holds V values of each sum, one sum after the other.
template <int V, int kSums>
__device__ inline void write_partial(float (&v)[V * kSums], const ColumnGrid& grid, const ColumnPlace<V>& at,
                                     int channels, float* partial) {
  __shared__ float shared[V * kSums * kColumnThreads];
  lane_sums(v, grid.width, at.lane, shared);
  if (at.lane != 0 || at.channel >= channels) return;
  for (int k = 0; k < kSums; ++k) {
    for (int i = 0; i < V; ++i) {
      partial[(static_cast<long long>(blockIdx.y) * kSums + k) * channels + at.channel + i] = v[k * V + i];
    }
  }
}

/// Second stage, in blocks of kFinalThreads over kFinalChannels channels each: the channel of this thread, or -1 for a
/// thread that has nothing to write; `sums` are then over all parts.
template <int kSums>
__device__ inline int final_sums(const float* partial, int parts, int channels, double (&sums)[kSums]) {
  __shared__ double shared[kSums * kFinalThreads];
  const int thread = static_cast<int>(threadIdx.x), lane = thread / kFinalChannels;
  const int channel = static_cast<int>(blockIdx.x) * kFinalChannels + thread % kFinalChannels;
  constexpr int kLanes = kFinalThreads / kFinalChannels;
  for (int k = 0; k < kSums; ++k) sums[k] = 0;
  if (channel < channels) {
    for (int part = lane; part < parts; part += kLanes) {
      for (int k = 0; k < kSums; ++k)
        sums[k] += static_cast<double>(partial[(static_cast<long long>(part) * kSums + k) * channels + channel]);
    }
  }
  for (int k = 0; k < kSums; ++k) shared[k * kFinalThreads + thread] = sums[k];
  for (int half = kLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
      for (int k = 0; k < kSums; ++k) {
        sums[k] += shared[k * kFinalThreads + thread + half * kFinalChannels];
        shared[k * kFinalThreads + thread] = sums[k];
      }
    }
  }
  return lane == 0 && channel < channels ? channel : -1;
}

}  // namespace lockstep::cuda
