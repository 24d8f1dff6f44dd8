#include "real/cuda/device/optimizer_state.hpp"

#include <algorithm>
#include <cmath>

#include "real/cuda/kernels/optimizer_rule.hpp"

namespace lockstep::cuda {

namespace {

/// The loss is a sum over the images of a micro-batch here, where others take the mean: their usual 1,024 is this over the images.
constexpr double kFirstScale = 16384;

}  // namespace

OptimizerState::OptimizerState(const RunSpec& run, const ModelGraph& graph, DeviceWeights& weights,
                               std::shared_ptr<const TensorLayout> layout)
    : run_(run),
      graph_(graph),
      weights_(weights),
      velocity_(std::move(layout)),
      scaled_(run.training.precision == Precision::Fp16),
      values_(1),
      loss_scale_(1) {
  options_.rule = update_rule(run.optimizer);
  options_.dynamic_scale = scaled_ && run.real.loss_scale == 0;
  options_.policy.least = 1.0f / 1024;
  set_loss_scale({}, nullptr);
}

void OptimizerState::read_from(const DeviceTensorSet& gradients, cudaStream_t stream) {
  std::vector<TensorEntry> entries;
  std::vector<long long> elements;
  for (const ParamTensor& t : graph_.tensors) {
    const auto n = static_cast<long long>(weights_.master().layout()[t.id].elements);
    const bool linear = graph_.layer(t.layer).kind == LayerKind::Linear;
    entries.push_back({weights_.master()[t.id], gradients[t.id], velocity_[t.id],
                       weights_.element() == Element::F32 ? nullptr : weights_.low(t.id), n,
                       tensor_flags(run_.optimizer, t.role, linear)});
    elements.push_back(n);
  }
  const std::vector<TensorChunk> chunks = chunk_table(elements);
  check(cudaStreamSynchronize(stream), "before new tables of the optimizer");
  entries_ = DeviceArray<TensorEntry>(entries.size());
  chunks_ = DeviceArray<TensorChunk>(chunks.size());
  workspace_ = DeviceArray<std::byte>(
      optimizer_workspace_bytes(static_cast<int>(entries.size()), static_cast<int>(chunks.size())));
  copy_to_device(std::span<const TensorEntry>(entries), entries_.data(), stream);
  copy_to_device(std::span<const TensorChunk>(chunks), chunks_.data(), stream);
  check(cudaStreamSynchronize(stream), "tables of the optimizer");
}

void OptimizerState::set_values(const StepArgs& args, std::size_t slot, cudaStream_t stream) {
  StepValuesDevice& out = sent_.data()[slot];
  out = step_values_device(step_values(run_.optimizer, args.peak_lr, args.lr, args.weight_decay, args.momentum_scale),
                           static_cast<double>(args.images));
  copy_to_device(std::span<const StepValuesDevice>(&out, 1), values_.data(), stream);
}

void OptimizerState::update(cudaStream_t stream) {
  const OptimizerTables tables{entries_.data(), static_cast<int>(entries_.size()), chunks_.data(),
                               static_cast<int>(chunks_.size()), weights_.element()};
  update_tensors(options_, tables, values_.data(), scaled_ ? loss_scale_.data() : nullptr, workspace_.data(), stream);
}

void OptimizerState::tell_loss_scale(std::span<LossScale> to, cudaStream_t stream) const {
  if (scaled_) copy_to_host(static_cast<const LossScale*>(loss_scale_.data()), to, stream);
}

LossScaleState OptimizerState::loss_scale(cudaStream_t stream) const {
  if (!scaled_) return {};
  LossScale state{};
  copy_to_host(static_cast<const LossScale*>(loss_scale_.data()), std::span(&state, 1), stream);
  check(cudaStreamSynchronize(stream), "reading the loss scale");
  return {state.scale, state.good_steps};
}

void OptimizerState::set_loss_scale(const LossScaleState& state, cudaStream_t stream) {
  double scale = state.scale;
  if (run_.real.loss_scale > 0) scale = run_.real.loss_scale;
  if (scale == 0) {
    const double images = std::max(1.0, static_cast<double>(run_.training.global_batch) /
                                            std::max(1, run_.cluster.gpus * run_.training.accumulation));
    scale = std::exp2(std::floor(std::log2(kFirstScale / images)));
  }
  const LossScale value{static_cast<float>(scale), static_cast<int>(state.good_steps), 0, 0};
  copy_to_device(std::span<const LossScale>(&value, 1), loss_scale_.data(), stream);
  check(cudaStreamSynchronize(stream), "setting the loss scale");
}

}  // namespace lockstep::cuda
