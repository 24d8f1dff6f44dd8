// Where each parameter tensor lies in one device allocation, and how its values are ordered there. Pure; no CUDA.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/model/graph.hpp"

namespace lockstep::cuda {

/// True if ungrouped convolutions alone read the images, so that these may have more channels on the device than in the
/// graph.
bool can_pad_input(const ModelGraph& graph);

/// Channels of the images on the device: 4 for three channels of 16 bit where can_pad_input() (tensor-core kernels take
/// channels in pairs or more), else the graph's own.
int padded_input_channels(const ModelGraph& graph, bool sixteen_bit);

/// One tensor: `rows` x `channels` x `pixels` on the host (OIHW, and a linear layer's [out, C, H, W]), rows x pixels x
/// `padded` on the device (channels last, as activations are). Vectors have channels = pixels = 1.
struct TensorPlace {
  std::size_t begin = 0;     ///< first element
  std::size_t elements = 0;  ///< on the device, with the padding of channels
  std::size_t rows = 0, channels = 1, pixels = 1, padded = 1;
  std::size_t host_elements() const { return rows * channels * pixels; }
};

/// The tensors of a graph one after the other in `order` (default: forward order), each starting at a multiple of
/// `alignment` elements. What lies between two tensors, and the channels that pad the first convolution, are zero in
/// weights, velocity and gradients alike and stay so: the padded channel of the images is zero, hence its gradient;
/// every optimizer maps a zero weight with zero gradient and velocity to zero; norms do not see them. `alignment` 1
/// packs densely; convolutions on tensor cores want 8 or more.
class TensorLayout {
 public:
  /// `input_channels`: of the images on the device, see padded_input_channels(). `order` empty or a permutation of all
  /// tensors.
  TensorLayout(const ModelGraph& graph, int input_channels, std::vector<TensorId> order = {},
               std::size_t alignment = 64);

  const TensorPlace& operator[](TensorId id) const { return places_[id.index()]; }
  /// Elements of the whole allocation.
  std::size_t elements() const { return elements_; }
  std::size_t tensors() const { return places_.size(); }
  /// First element and number of elements of tensors that follow each other in the order, padding between them included
  /// (and after the last, up to the next tensor). LOCKSTEP_EXPECTS that they do follow.
  struct Range {
    std::size_t begin = 0, elements = 0;
  };
  Range range(std::span<const TensorId> tensors) const;

  /// From row-major host values to `device` order (elements() of the place) and back. Sizes must match; padding becomes
  /// zero.
  static void to_device_order(const TensorPlace& place, std::span<const float> host, std::span<float> device);
  static void to_host_order(const TensorPlace& place, std::span<const float> device, std::span<float> host);

 private:
  std::vector<TensorPlace> places_;    // by tensor
  std::vector<std::size_t> position_;  // in the order, by tensor
  std::vector<std::size_t> ends_;      // where the next tensor starts, by position
  std::size_t elements_ = 0;
};

}  // namespace lockstep::cuda
