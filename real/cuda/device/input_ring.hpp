// Micro-batches on their way to the device.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "real/cuda/base/memory.hpp"
#include "real/cuda/base/stream.hpp"
#include "real/cuda/network/network.hpp"
#include "real/data/loader.hpp"

namespace lockstep::cuda {

/// Page-locked and device buffers, taken in turn, so that the images of one step are copied while the device computes the one before. Images travel packed
/// and are prepared on the device. Nothing is allocated after the constructor: a packed image never takes more room than the prepared one.
class InputRing {
 public:
  /// For micro-batches of at most `images` images of `shape`, whose normalisation and colour noise are those of `recipe`.
  InputRing(std::int64_t images, const Shape& shape, const Recipe& recipe);

  /// Copies a batch of packed images to the network's input and labels, in order of `compute`; what the network holds beyond the batch gets the label -1.
  /// Waits on the host only if the device is three batches behind. Cost on the host: one copy of the packed bytes.
  void feed(const Batch& batch, Network& network, cudaStream_t compute);
  std::int64_t images() const { return images_; }

 private:
  struct Buffer {
    PinnedArray<unsigned char> bytes;
    PinnedArray<PackedImage> images;
    PinnedArray<int> labels;
    DeviceArray<unsigned char> bytes_on_device;
    DeviceArray<PackedImage> images_on_device;
    DeviceArray<int> labels_on_device;
    std::vector<std::shared_ptr<const DevicePixels>> held;  ///< that the device may still read
    Event copied, consumed;
    bool used = false;
  };
  /// Puts the images one behind the other; returns their bytes.
  std::size_t pack(const Batch& batch, Buffer& to) const;

  std::int64_t images_;
  Shape shape_;
  PixelScale scale_;
  Stream copy_;
  std::array<Buffer, 3> buffers_;
  DeviceArray<float> colour_pixels_, colour_means_;
  std::size_t next_ = 0;
};

}  // namespace lockstep::cuda
