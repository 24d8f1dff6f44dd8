#include "real/cuda/network/device_weights.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "real/cuda/kernels/cast.hpp"

namespace lockstep::cuda {

DeviceWeights::DeviceWeights(const std::shared_ptr<const TensorLayout>& layout, Element element)
    : element_(element),
      master_(layout),
      low_(element == Element::F32 ? 0 : layout->elements() * element_bytes(element)) {
  if (!low_) return;
  check(cudaMemset(low_.data(), 0, low_.bytes()), "clearing weights");
  check(cudaDeviceSynchronize(), "clearing weights");
}

void* DeviceWeights::low(TensorId id) const {
  return low_ ? low_.data() + master_.layout()[id].begin * element_bytes(element_) : nullptr;
}

void DeviceWeights::refresh_low(cudaStream_t stream) {
  if (!low_) return;
  cast_from_float(element_, static_cast<long long>(master_.layout().elements()), master_.data(), 1.0f, low_.data(),
                  stream);
}

NormStatisticsDevice::NormStatisticsDevice(const ModelGraph& graph)
    : begin_(graph.layers.size()), channels_(graph.layers.size()) {
  std::vector<float> start;
  for (const Layer& layer : graph.layers) {
    if (layer.kind != LayerKind::BatchNorm) continue;
    const auto channels = static_cast<std::size_t>(layer.out.c);
    begin_[layer.id.index()] = start.size();
    channels_[layer.id.index()] = channels;
    start.resize(start.size() + channels, 0.0f);
    start.resize(start.size() + channels, 1.0f);
  }
  values_ = DeviceArray<float>(start.size());
  if (!start.empty()) upload(start, nullptr);
}

void NormStatisticsDevice::upload(std::span<const float> values, cudaStream_t stream) {
  LOCKSTEP_EXPECTS(values.size() == size());
  copy_to_device(values, values_.data(), stream);
  check(cudaStreamSynchronize(stream), "copying moving averages");
}

void NormStatisticsDevice::download(std::span<float> values, cudaStream_t stream) const {
  LOCKSTEP_EXPECTS(values.size() == size());
  copy_to_host(static_cast<const float*>(values_.data()), values, stream);
  check(cudaStreamSynchronize(stream), "copying moving averages");
}

}  // namespace lockstep::cuda
