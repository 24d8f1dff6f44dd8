// The optimizer's three launches; optimizer.hpp says what is computed.
#pragma once

#include "real/cuda/kernels/block_sum.cuh"
#include "real/cuda/kernels/element.cuh"
#include "real/cuda/kernels/optimizer_math.cuh"

namespace lockstep::cuda {

constexpr int kOptimizerThreads = 256, kVerdictThreads = 1024;

/// Sums of squares of one chunk.
struct ChunkSums {
  double w, g, combined;
};

/// What the verdict leaves for the update.
struct StepPlan {
  double inverse;  ///< 1 / (images x loss scale)
  int skip;
};

/// Device memory between the launches.
struct OptimizerScratch {
  StepPlan* step;
  TensorPlan* tensors;  ///< by tensor
  int* first_chunk;     ///< by tensor; not written for an empty one
  ChunkSums* chunks;    ///< by chunk
};

__device__ inline double inverse_divisor(const StepValuesDevice& x, const LossScale* loss_scale) {
  return 1 / (x.images * (loss_scale != nullptr ? static_cast<double>(loss_scale->scale) : 1.0));
}

__device__ inline int chunk_length(const TensorEntry& tensor, const TensorChunk& chunk) {
  const long long left = tensor.elements - chunk.offset;
  return left < kChunkElements ? static_cast<int>(left) : kChunkElements;
}

/// First launch, a block per chunk: the squares; of the gradient alone where the rule takes no norms.
__global__ void __launch_bounds__(kOptimizerThreads)
    optimizer_squares(UpdateRule rule, const TensorEntry* tensors, const TensorChunk* chunks,
                      const StepValuesDevice* values, const LossScale* loss_scale, OptimizerScratch scratch) {
  __shared__ double shared[32];
  const TensorChunk chunk = chunks[blockIdx.x];
  const TensorEntry tensor = tensors[chunk.tensor];
  const int n = chunk_length(tensor, chunk);
  const float *weight = tensor.weight + chunk.offset, *gradient = tensor.gradient + chunk.offset;
  const bool norms = takes_norms(rule.kind), combined = rule.kind == UpdateKind::TfModels;
  const double inverse = inverse_divisor(*values, loss_scale), decay = decay_of(*values, tensor.flags);
  ChunkSums sums{0, 0, 0};
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kOptimizerThreads) {
    const double g = static_cast<double>(gradient[i]) * inverse;
    sums.g += g * g;
    if (!norms) continue;
    const double w = static_cast<double>(weight[i]);
    sums.w += w * w;
    const double c = g + decay * w;
    if (combined) sums.combined += c * c;
  }
  sums.g = block_sum(sums.g, shared);
  if (norms) sums.w = block_sum(sums.w, shared);
  if (combined) sums.combined = block_sum(sums.combined, shared);
  if (threadIdx.x != 0) return;
  scratch.chunks[blockIdx.x] = sums;
  if (chunk.offset == 0) scratch.first_chunk[chunk.tensor] = static_cast<int>(blockIdx.x);
}

/// The scale after a step whose gradients were or were not finite.
__device__ inline void change_scale(const LossScalePolicy& policy, bool finite, LossScale* s) {
  s->skipped = finite ? 0 : 1;
  if (!finite) {
    const float less = s->scale * policy.backoff;
    s->scale = less > policy.least ? less : policy.least;
    s->good_steps = 0;
    ++s->total_skipped;
  } else if (++s->good_steps >= policy.interval) {
    const float more = s->scale * policy.growth;
    s->scale = more < policy.most ? more : policy.most;
    s->good_steps = 0;
  }
}

/// Second launch, one block: a warp per tensor adds its chunks; then the verdict and the next loss scale.
__global__ void __launch_bounds__(kVerdictThreads)
    optimizer_verdict(UpdateRule rule, const TensorEntry* tensors, int tensor_count, const StepValuesDevice* values,
                      LossScale* loss_scale, int dynamic, LossScalePolicy policy, OptimizerScratch scratch) {
  __shared__ int infinite[kVerdictThreads / 32];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  bool finite = true;
  for (int t = warp; t < tensor_count; t += kVerdictThreads / 32) {
    const TensorEntry tensor = tensors[t];
    if (tensor.elements == 0) continue;
    const ChunkSums* chunks = scratch.chunks + scratch.first_chunk[t];
    const long long count = (tensor.elements + kChunkElements - 1) / kChunkElements;
    ChunkSums sums{0, 0, 0};
    for (long long i = lane; i < count; i += 32) {
      sums.w += chunks[i].w;
      sums.g += chunks[i].g;
      sums.combined += chunks[i].combined;
    }
    sums.w = warp_sum(sums.w);
    sums.g = warp_sum(sums.g);
    sums.combined = warp_sum(sums.combined);
    if (!isfinite(sums.g)) finite = false;
    if (lane == 0)
      scratch.tensors[t] =
          tensor_plan(rule, *values, tensor.flags, TensorNorms{sqrt(sums.w), sqrt(sums.g), sqrt(sums.combined)});
  }
  if (lane == 0) infinite[warp] = finite ? 0 : 1;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 0; i < kVerdictThreads / 32; ++i) {
    if (infinite[i] != 0) finite = false;
  }
  *scratch.step = StepPlan{inverse_divisor(*values, loss_scale), dynamic != 0 && !finite ? 1 : 0};
  if (dynamic != 0 && loss_scale != nullptr) change_scale(policy, finite, loss_scale);
}

/// Last launch (the only one of SGD without a check: `planned` is 0), a block per chunk. Four elements of a thread are
/// under way together.
template <class Low>
__global__ void __launch_bounds__(kOptimizerThreads)
    optimizer_update(UpdateRule rule, const TensorEntry* tensors, const TensorChunk* chunks,
                     const StepValuesDevice* values, const LossScale* loss_scale, int planned,
                     OptimizerScratch scratch) {
  if (planned != 0 && scratch.step->skip != 0) return;
  const TensorChunk chunk = chunks[blockIdx.x];
  const TensorEntry tensor = tensors[chunk.tensor];
  const StepValuesDevice x = *values;
  const double inverse = planned != 0 ? scratch.step->inverse : inverse_divisor(x, loss_scale);
  const TensorPlan plan =
      planned != 0 ? scratch.tensors[chunk.tensor] : tensor_plan(rule, x, tensor.flags, TensorNorms{0, 0, 0});
  const int n = chunk_length(tensor, chunk);
  float *weight = tensor.weight + chunk.offset, *velocity = tensor.velocity + chunk.offset;
  const float* gradient = tensor.gradient + chunk.offset;
  Low* low = tensor.low != nullptr ? static_cast<Low*>(tensor.low) + chunk.offset : nullptr;
  for (int base = static_cast<int>(threadIdx.x); base < n; base += 4 * kOptimizerThreads) {
    float w[4], g[4], v[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int i = base + k * kOptimizerThreads;
      w[k] = i < n ? weight[i] : 0.0f;
      g[k] = i < n ? gradient[i] : 0.0f;
      v[k] = i < n ? velocity[i] : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int i = base + k * kOptimizerThreads;
      if (i >= n) continue;
      double wk = static_cast<double>(w[k]), vk = static_cast<double>(v[k]);
      update_element(rule.kind, x, plan, static_cast<double>(g[k]) * inverse, &wk, &vk);
      velocity[i] = static_cast<float>(vk);
      weight[i] = static_cast<float>(wk);
      if (low != nullptr) put(static_cast<float>(wk), low + i);
    }
  }
}

}  // namespace lockstep::cuda
