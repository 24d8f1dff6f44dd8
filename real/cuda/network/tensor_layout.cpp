#include "real/cuda/network/tensor_layout.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep::cuda {

namespace {

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

TensorPlace place_of(const ModelGraph& graph, const ParamTensor& tensor, int input_channels) {
  const Layer& layer = graph.layer(tensor.layer);
  TensorPlace p;
  p.rows = size(tensor.dims[0]);
  if (tensor.role == TensorRole::Weight && layer.kind == LayerKind::Conv) {
    p.channels = p.padded = size(layer.in.c / layer.groups);
    p.pixels = size(std::int64_t{layer.r} * layer.s);
    if (layer.inputs[0].value == 0 && input_channels != layer.in.c) {
      LOCKSTEP_EXPECTS(layer.groups == 1 && input_channels > layer.in.c);
      p.padded = size(input_channels);
    }
  } else if (tensor.role == TensorRole::Weight) {
    p.channels = p.padded = size(layer.in.c);
    p.pixels = size(std::int64_t{layer.in.h} * layer.in.w);
  }
  p.elements = p.rows * p.pixels * p.padded;
  LOCKSTEP_EXPECTS(p.host_elements() == size(tensor.elements()));
  return p;
}

/// Calls visit(host index, device index) for every value, in the order of the host.
template <class Visit>
void pairs(const TensorPlace& p, Visit visit) {
  std::size_t host = 0;
  for (std::size_t k = 0; k < p.rows; ++k) {
    for (std::size_t c = 0; c < p.channels; ++c) {
      for (std::size_t i = 0; i < p.pixels; ++i) visit(host++, (k * p.pixels + i) * p.padded + c);
    }
  }
}

}  // namespace

bool can_pad_input(const ModelGraph& graph) {
  for (const Layer& layer : graph.layers) {
    for (const LayerId in : layer.inputs) {
      if (in.value == 0 && (layer.kind != LayerKind::Conv || layer.groups != 1)) return false;
    }
  }
  return true;
}

int padded_input_channels(const ModelGraph& graph, bool sixteen_bit) {
  const int channels = graph.input().c;
  return sixteen_bit && channels == 3 && can_pad_input(graph) ? 4 : channels;
}

TensorLayout::TensorLayout(const ModelGraph& graph, int input_channels, std::vector<TensorId> order,
                           std::size_t alignment)
    : places_(graph.tensors.size()), position_(graph.tensors.size()) {
  LOCKSTEP_EXPECTS(alignment >= 1);
  if (order.empty()) {
    for (const ParamTensor& t : graph.tensors) order.push_back(t.id);
  }
  LOCKSTEP_EXPECTS(order.size() == graph.tensors.size());
  for (const TensorId id : order) {
    TensorPlace place = place_of(graph, graph.tensor(id), input_channels);
    place.begin = elements_;
    elements_ = (elements_ + place.elements + alignment - 1) / alignment * alignment;
    position_[id.index()] = ends_.size();
    ends_.push_back(elements_);
    LOCKSTEP_EXPECTS(places_[id.index()].rows == 0);  // no tensor twice
    places_[id.index()] = place;
  }
}

TensorLayout::Range TensorLayout::range(std::span<const TensorId> tensors) const {
  if (tensors.empty()) return {};
  const std::size_t first = position_[tensors.front().index()];
  for (std::size_t i = 0; i < tensors.size(); ++i) LOCKSTEP_EXPECTS(position_[tensors[i].index()] == first + i);
  const std::size_t begin = places_[tensors.front().index()].begin;
  return {begin, ends_[first + tensors.size() - 1] - begin};
}

void TensorLayout::to_device_order(const TensorPlace& place, std::span<const float> host, std::span<float> device) {
  LOCKSTEP_EXPECTS(host.size() == place.host_elements() && device.size() == place.elements);
  std::fill(device.begin(), device.end(), 0.0f);
  pairs(place, [&](std::size_t h, std::size_t d) { device[d] = host[h]; });
}

void TensorLayout::to_host_order(const TensorPlace& place, std::span<const float> device, std::span<float> host) {
  LOCKSTEP_EXPECTS(host.size() == place.host_elements() && device.size() == place.elements);
  pairs(place, [&](std::size_t h, std::size_t d) { host[h] = device[d]; });
}

}  // namespace lockstep::cuda
