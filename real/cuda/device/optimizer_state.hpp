// Weights, velocity and the optimizer's tables on the device.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "core/optim/optimizer.hpp"
#include "core/run/world.hpp"
#include "core/spec/run_spec.hpp"
#include "real/cuda/kernels/optimizer.hpp"
#include "real/cuda/network/device_weights.hpp"
#include "real/world/device.hpp"

namespace lockstep::cuda {

/// Steps whose host-side memory must not be shared: one that is being read, one that runs, one that is being prepared.
constexpr std::size_t kSlots = 3;

/// Of one rank. Updates are of all tensors at once.
class OptimizerState {
 public:
  OptimizerState(const RunSpec& run, const ModelGraph& graph, DeviceWeights& weights,
                 std::shared_ptr<const TensorLayout> layout);

  /// Gradients are read from `gradients` by later updates; waits for `stream`.
  void read_from(const DeviceTensorSet& gradients, cudaStream_t stream);
  /// Sends the values of a step, in stream order, through page-locked memory of slot 0 to kSlots - 1: whoever uses a slot again must have waited for
  /// the step that used it.
  void set_values(const StepArgs& args, std::size_t slot, cudaStream_t stream);
  /// Enqueues the update with the values last sent. Can be captured.
  void update(cudaStream_t stream);

  DeviceTensorSet& velocity() { return velocity_; }
  /// In device memory; null where gradients are not scaled.
  const float* scale() const { return scaled_ ? &loss_scale_.data()->scale : nullptr; }
  /// Copies the scale and whether the latest update was skipped to page-locked memory, in stream order; nothing where gradients are not scaled.
  void tell_loss_scale(std::span<LossScale> to, cudaStream_t stream) const;
  /// Both wait for `stream`.
  LossScaleState loss_scale(cudaStream_t stream) const;
  void set_loss_scale(const LossScaleState& state, cudaStream_t stream);

 private:
  const RunSpec& run_;
  const ModelGraph& graph_;
  DeviceWeights& weights_;
  DeviceTensorSet velocity_;
  bool scaled_;
  UpdateOptions options_;
  DeviceArray<TensorEntry> entries_;
  DeviceArray<TensorChunk> chunks_;
  DeviceArray<std::byte> workspace_;
  DeviceArray<StepValuesDevice> values_;
  PinnedArray<StepValuesDevice> sent_{kSlots};
  DeviceArray<LossScale> loss_scale_;
};

}  // namespace lockstep::cuda
