// Master weights in fp32 and the copies that 16-bit networks multiply with; moving averages of batch norms.
#pragma once

#include <span>
#include <vector>

#include "core/model/graph.hpp"
#include "real/cuda/kernels/element.hpp"
#include "real/cuda/network/device_tensor_set.hpp"

namespace lockstep::cuda {

/// With Element::F32 there are no copies: layers read the masters. Networks of one model (training, evaluation) share
/// one.
class DeviceWeights {
 public:
  DeviceWeights(const std::shared_ptr<const TensorLayout>& layout, Element element);

  DeviceTensorSet& master() { return master_; }
  const DeviceTensorSet& master() const { return master_; }
  Element element() const { return element_; }
  /// The 16-bit copy, in the order of the master; null with F32. The optimizer writes it as it writes the master.
  void* low(TensorId id) const;
  /// What convolutions and linear layers multiply with: low(), or the master with F32.
  const void* operand(TensorId id) const { return element_ == Element::F32 ? master_[id] : low(id); }
  /// Rounds all copies anew from the masters, in stream order; after upload() to the master.
  void refresh_low(cudaStream_t stream);

 private:
  Element element_;
  DeviceTensorSet master_;
  DeviceArray<std::byte> low_;
};

/// Mean and variance of every BatchNorm in one allocation, in the order of real/cpu's NormStatistics::values(): by
/// layer mean, then variance. Starts at mean 0, variance 1.
class NormStatisticsDevice {
 public:
  explicit NormStatisticsDevice(const ModelGraph& graph);
  float* mean(LayerId layer) const { return values_.data() + begin_[layer.index()]; }
  float* variance(LayerId layer) const { return values_.data() + begin_[layer.index()] + channels_[layer.index()]; }
  float* data() const { return values_.data(); }
  std::size_t size() const { return values_.size(); }
  /// All values, size() of them; both wait for `stream`.
  void upload(std::span<const float> values, cudaStream_t stream);
  void download(std::span<float> values, cudaStream_t stream) const;

 private:
  std::vector<std::size_t> begin_, channels_;  // by layer
  DeviceArray<float> values_;
};

}  // namespace lockstep::cuda
