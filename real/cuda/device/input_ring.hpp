// Micro-batches on their way to the device.
#pragma once

#include <array>
#include <cstddef>

#include "real/cuda/base/memory.hpp"
#include "real/cuda/base/stream.hpp"
#include "real/cuda/network/network.hpp"
#include "real/data/loader.hpp"

namespace lockstep::cuda {

/// Page-locked and device buffers, taken in turn, so that the images of one step are copied while the device computes the one before.
class InputRing {
 public:
  /// For micro-batches of at most `images` images of `shape`.
  InputRing(std::int64_t images, const Shape& shape);

  /// Copies a batch to the network's input and labels, in order of `compute`; what the network holds beyond the batch gets the label -1. Waits on the
  /// host only if the device is three batches behind. Cost on the host: one copy of the images.
  void feed(const Batch& batch, Network& network, cudaStream_t compute);
  std::int64_t images() const { return images_; }

 private:
  struct Buffer {
    PinnedArray<float> images;
    PinnedArray<int> labels;
    DeviceArray<float> images_on_device;
    DeviceArray<int> labels_on_device;
    Event copied, consumed;
    bool used = false;
  };
  std::int64_t images_;
  Shape shape_;
  Stream copy_;
  std::array<Buffer, 3> buffers_;
  std::size_t next_ = 0;
};

}  // namespace lockstep::cuda
