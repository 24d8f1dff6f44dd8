// The parameters of a model on the device, or their gradients, or their velocity: fp32, channels last, one allocation.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "real/cuda/base/memory.hpp"
#include "real/cuda/network/tensor_layout.hpp"

namespace lockstep::cuda {

/// Values of every parameter tensor, as TensorLayout places them. Starts at zero, padding included. Move-only.
class DeviceTensorSet {
 public:
  explicit DeviceTensorSet(std::shared_ptr<const TensorLayout> layout);

  float* operator[](TensorId id) const { return values_.data() + (*layout_)[id].begin; }
  float* data() const { return values_.data(); }
  const TensorLayout& layout() const { return *layout_; }
  /// Device memory of tensors that follow each other (TensorLayout::range), padding included.
  std::span<float> range(std::span<const TensorId> tensors) const;
  /// Zeroes everything, in stream order.
  void clear(cudaStream_t stream);

  /// Row-major host values of each tensor in and out, as a TensorSet and a checkpoint hold them: both wait for
  /// `stream`. One copy of the whole set, the permutation on one host thread (some 0.1 s for ResNet-50). `of` gives the
  /// values of one tensor, [elements()] of the ParamTensor.
  void upload(const std::function<std::span<const float>(TensorId)>& of, cudaStream_t stream);
  void download(const std::function<std::span<float>(TensorId)>& to, cudaStream_t stream) const;

 private:
  std::shared_ptr<const TensorLayout> layout_;
  DeviceArray<float> values_;
};

}  // namespace lockstep::cuda
