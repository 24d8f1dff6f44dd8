#include "real/tensors/tensor_set.hpp"

#include <algorithm>
#include <new>

#include "core/base/error.hpp"

namespace lockstep {

namespace {
constexpr std::align_val_t kAlignment{64};
}

void TensorSet::Free::operator()(float* p) const { ::operator delete[](p, kAlignment); }

TensorSet::TensorSet(const ModelGraph& graph, std::vector<TensorId> order)
    : begin_(graph.tensors.size()), length_(graph.tensors.size()) {
  if (order.empty()) {
    for (const ParamTensor& t : graph.tensors) order.push_back(t.id);
  }
  LOCKSTEP_EXPECTS(order.size() == graph.tensors.size());
  for (const TensorId id : order) {
    begin_[id.index()] = size_;
    length_[id.index()] = static_cast<std::size_t>(graph.tensor(id).elements());
    size_ += length_[id.index()];
  }
  values_.reset(new (kAlignment) float[size_]());
}

std::span<float> TensorSet::range(std::span<const TensorId> tensors) {
  if (tensors.empty()) return {};
  const std::size_t begin = begin_[tensors.front().index()];
  std::size_t end = begin;
  for (const TensorId id : tensors) {
    LOCKSTEP_EXPECTS(begin_[id.index()] == end);
    end += length_[id.index()];
  }
  return all().subspan(begin, end - begin);
}

}  // namespace lockstep
