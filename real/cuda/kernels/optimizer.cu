#include "real/cuda/kernels/optimizer.cuh"

#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"
#include "real/cuda/kernels/optimizer.hpp"

namespace lockstep::cuda {

namespace {

constexpr std::size_t kAlignment = 256;

constexpr std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

struct Layout {
  std::size_t tensors, first_chunk, chunks, end;
};

Layout layout_of(int tensor_count, int chunk_count) {
  const auto n = static_cast<std::size_t>(tensor_count), c = static_cast<std::size_t>(chunk_count);
  Layout l{};
  l.tensors = aligned(sizeof(StepPlan));
  l.first_chunk = l.tensors + aligned(n * sizeof(TensorPlan));
  l.chunks = l.first_chunk + aligned(n * sizeof(int));
  l.end = l.chunks + aligned(c * sizeof(ChunkSums));
  return l;
}

OptimizerScratch scratch_in(void* workspace, const OptimizerTables& t) {
  const Layout l = layout_of(t.tensor_count, t.chunk_count);
  char* base = static_cast<char*>(workspace);
  return {reinterpret_cast<StepPlan*>(base), reinterpret_cast<TensorPlan*>(base + l.tensors),
          reinterpret_cast<int*>(base + l.first_chunk), reinterpret_cast<ChunkSums*>(base + l.chunks)};
}

}  // namespace

std::size_t optimizer_workspace_bytes(int tensor_count, int chunk_count) {
  return layout_of(tensor_count, chunk_count).end;
}

void update_tensors(const UpdateOptions& o, const OptimizerTables& t, const StepValuesDevice* values,
                    LossScale* loss_scale, void* workspace, cudaStream_t stream) {
  LOCKSTEP_EXPECTS(t.tensor_count >= 0 && t.chunk_count >= 0 && (!o.dynamic_scale || loss_scale != nullptr));
  if (t.chunk_count == 0) return;
  const dim3 blocks = cover(t.chunk_count, 1);
  const OptimizerScratch scratch = scratch_in(workspace, t);
  const bool planned = o.dynamic_scale || (o.rule.kind != UpdateKind::Sgd && o.rule.kind != UpdateKind::Nesterov);
  if (planned) {
    launch("optimizer_squares", optimizer_squares, blocks, kOptimizerThreads, stream, o.rule, t.tensors, t.chunks,
           values, loss_scale, scratch);
    launch("optimizer_verdict", optimizer_verdict, 1, kVerdictThreads, stream, o.rule, t.tensors, t.tensor_count,
           values, loss_scale, o.dynamic_scale ? 1 : 0, o.policy, scratch);
  }
  with_type(t.low, [&](auto tag) {
    launch("optimizer_update", optimizer_update<typename decltype(tag)::type>, blocks, kOptimizerThreads, stream,
           o.rule, t.tensors, t.chunks, values, loss_scale, planned ? 1 : 0, scratch);
  });
}

}  // namespace lockstep::cuda
