// Packing of buckets; pack.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/element.cuh"
#include "real/cuda/kernels/optimizer_table.cuh"
#include "real/cuda/kernels/pack_table.cuh"

namespace lockstep::cuda {

constexpr int kPackThreads = 256;

/// The chunk of this block: pieces start anywhere, so loads and stores are single values, four of a thread under way
/// together.
template <class T, bool kInto>
__global__ void __launch_bounds__(kPackThreads)
    pack_kernel(const PackEntry* entries, const TensorChunk* chunks, float scale, T* bucket) {
  const TensorChunk chunk = chunks[blockIdx.x];
  const PackEntry entry = entries[chunk.tensor];
  const long long left = entry.elements - chunk.offset;
  const int n = left < kChunkElements ? static_cast<int>(left) : kChunkElements;
  float* data = entry.data + chunk.offset;
  T* wire = bucket + entry.offset + chunk.offset;
  for (int base = static_cast<int>(threadIdx.x); base < n; base += 4 * kPackThreads) {
    float v[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int i = base + k * kPackThreads;
      v[k] = i >= n ? 0.0f : kInto ? data[i] : to_float(wire[i]);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int i = base + k * kPackThreads;
      if (i >= n) continue;
      if (kInto) put(v[k] * scale, wire + i);
      if (!kInto) data[i] = v[k] * scale;
    }
  }
}

}  // namespace lockstep::cuda
