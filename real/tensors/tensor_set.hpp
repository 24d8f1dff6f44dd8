// The parameters of a model, or their gradients, or their velocity: fp32, plain layout, back to back.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/model/graph.hpp"

namespace lockstep {

/// Values of every parameter tensor of a graph, each row by row in the dims of ParamTensor, one after the other in `order` (default: forward
/// order) in one block aligned to 64 bytes, so that the tensors of a gradient bucket are one span. Starts at zero. Move-only.
class TensorSet {
 public:
  explicit TensorSet(const ModelGraph& graph, std::vector<TensorId> order = {});

  std::span<float> operator[](TensorId id) { return all().subspan(begin_[id.index()], length_[id.index()]); }
  std::span<const float> operator[](TensorId id) const {
    return all().subspan(begin_[id.index()], length_[id.index()]);
  }
  std::span<float> all() { return {values_.get(), size_}; }
  std::span<const float> all() const { return {values_.get(), size_}; }
  /// The span of tensors that follow each other in the order; LOCKSTEP_EXPECTS that they do.
  std::span<float> range(std::span<const TensorId> tensors);

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float[], Free> values_;
  std::size_t size_ = 0;
  std::vector<std::size_t> begin_, length_;
};

}  // namespace lockstep
