#include "real/cuda/network/device_tensor_set.hpp"

namespace lockstep::cuda {

namespace {

/// Calls visit(id, values in device order) for every tensor of a copy of the whole set.
template <class Visit>
void each_tensor(const TensorLayout& layout, std::span<float> all, Visit visit) {
  for (std::size_t i = 0; i < layout.tensors(); ++i) {
    const TensorId id(static_cast<std::int64_t>(i));
    visit(id, all.subspan(layout[id].begin, layout[id].elements));
  }
}

void wait(cudaStream_t stream) { check(cudaStreamSynchronize(stream), "copying tensors"); }

}  // namespace

DeviceTensorSet::DeviceTensorSet(std::shared_ptr<const TensorLayout> layout)
    : layout_(std::move(layout)), values_(layout_->elements()) {
  check(cudaMemset(values_.data(), 0, values_.bytes()), "clearing tensors");
  check(cudaDeviceSynchronize(), "clearing tensors");  // other streams do not wait for the default one
}

std::span<float> DeviceTensorSet::range(std::span<const TensorId> tensors) const {
  const TensorLayout::Range r = layout_->range(tensors);
  return {values_.data() + r.begin, r.elements};
}

void DeviceTensorSet::clear(cudaStream_t stream) {
  check(cudaMemsetAsync(values_.data(), 0, values_.bytes(), stream), "clearing tensors");
}

void DeviceTensorSet::upload(const std::function<std::span<const float>(TensorId)>& of, cudaStream_t stream) {
  std::vector<float> all(layout_->elements());
  each_tensor(*layout_, all, [&](TensorId id, std::span<float> device) {
    TensorLayout::to_device_order((*layout_)[id], of(id), device);
  });
  copy_to_device(std::span<const float>(all), values_.data(), stream);
  wait(stream);
}

void DeviceTensorSet::download(const std::function<std::span<float>(TensorId)>& to, cudaStream_t stream) const {
  std::vector<float> all(layout_->elements());
  copy_to_host(values_.data(), std::span<float>(all), stream);
  wait(stream);
  each_tensor(*layout_, all, [&](TensorId id, std::span<float> device) {
    TensorLayout::to_host_order((*layout_)[id], device, to(id));
  });
}

}  // namespace lockstep::cuda
