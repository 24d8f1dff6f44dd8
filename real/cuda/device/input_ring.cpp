#include "real/cuda/device/input_ring.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "real/cuda/kernels/augment.hpp"

namespace lockstep::cuda {

InputRing::InputRing(std::int64_t images, const Shape& shape) : images_(images), shape_(shape) {
  const auto n = static_cast<std::size_t>(images), each = static_cast<std::size_t>(shape.elements());
  for (Buffer& b : buffers_) {
    b.images = PinnedArray<float>(n * each);
    b.labels = PinnedArray<int>(n);
    b.images_on_device = DeviceArray<float>(n * each);
    b.labels_on_device = DeviceArray<int>(n);
  }
}

void InputRing::feed(const Batch& batch, Network& network, cudaStream_t compute) {
  Buffer& b = buffers_[next_];
  next_ = (next_ + 1) % buffers_.size();
  const auto room = static_cast<std::size_t>(network.images());
  LOCKSTEP_EXPECTS(network.images() <= images_ && batch.labels.size() <= room);
  if (b.used) {
    b.copied.synchronise();  // the host may write again
    b.consumed.block(copy_);
  }
  std::copy(batch.images.begin(), batch.images.end(), b.images.data());
  std::fill(std::copy(batch.labels.begin(), batch.labels.end(), b.labels.data()), b.labels.data() + room, -1);
  copy_to_device(std::span<const float>(b.images.data(), batch.images.size()), b.images_on_device.data(), copy_);
  copy_to_device(std::span<const int>(b.labels.data(), room), b.labels_on_device.data(), copy_);
  b.copied.record(copy_);
  b.copied.block(compute);
  nchw_to_nhwc(network.element(), static_cast<int>(batch.labels.size()), shape_.c, shape_.h, shape_.w,
               network.input_channels(), b.images_on_device.data(), network.input(), compute);
  check(cudaMemcpyAsync(network.labels(), b.labels_on_device.data(), room * sizeof(int), cudaMemcpyDeviceToDevice,
                        compute),
        "copying labels");
  b.consumed.record(compute);
  b.used = true;
}

}  // namespace lockstep::cuda
