#include "real/cuda/device/input_ring.hpp"

#include <algorithm>
#include <cstring>

#include "core/base/error.hpp"
#include "real/cuda/kernels/images.hpp"

namespace lockstep::cuda {

namespace {

constexpr std::size_t kAlign = 16;  // of each image's data

std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

InputRing::InputRing(std::int64_t images, const Shape& shape, const Recipe& recipe)
    : images_(images), shape_(shape), scale_(pixel_scale(recipe)) {
  const auto n = static_cast<std::size_t>(images), each = static_cast<std::size_t>(shape.elements());
  for (Buffer& b : buffers_) {
    b.bytes = PinnedArray<unsigned char>(n * aligned(each * sizeof(float)));
    b.images = PinnedArray<PackedImage>(n);
    b.labels = PinnedArray<int>(n);
    b.bytes_on_device = DeviceArray<unsigned char>(b.bytes.size());
    b.images_on_device = DeviceArray<PackedImage>(n);
    b.labels_on_device = DeviceArray<int>(n);
  }
  if (shape.c == 3 && (recipe.colours.jitter > 0 || recipe.colours.lighting > 0)) {
    colour_pixels_ = DeviceArray<float>(n * each);
    colour_means_ = DeviceArray<float>(n);
  }
}

std::size_t InputRing::pack(const Batch& batch, Buffer& to) const {
  const auto each = static_cast<std::size_t>(shape_.elements());
  std::size_t at = 0;
  for (std::size_t i = 0; i < batch.packed.size(); ++i) {
    PackedImage image = batch.packed[i];
    image.at = static_cast<long long>(at);
    const auto size = static_cast<std::size_t>(image.size);
    std::memcpy(to.bytes.data() + at, batch.images.data() + i * each, size);
    to.images.data()[i] = image;
    at += aligned(size);
  }
  return at;
}

void InputRing::feed(const Batch& batch, Network& network, cudaStream_t compute) {
  Buffer& b = buffers_[next_];
  next_ = (next_ + 1) % buffers_.size();
  const auto room = static_cast<std::size_t>(network.images());
  LOCKSTEP_EXPECTS(network.images() <= images_ && batch.labels.size() <= room &&
                   batch.packed.size() == batch.labels.size());
  if (b.used) {
    b.copied.synchronise();  // the host may write again
    b.consumed.block(copy_);
    if (!b.held.empty()) b.consumed.synchronise();
  }
  b.held = batch.on_device;
  const std::size_t bytes = pack(batch, b);
  std::fill(std::copy(batch.labels.begin(), batch.labels.end(), b.labels.data()), b.labels.data() + room, -1);
  copy_to_device(std::span<const unsigned char>(b.bytes.data(), bytes), b.bytes_on_device.data(), copy_);
  copy_to_device(std::span<const PackedImage>(b.images.data(), batch.packed.size()), b.images_on_device.data(), copy_);
  copy_to_device(std::span<const int>(b.labels.data(), room), b.labels_on_device.data(), copy_);
  b.copied.record(copy_);
  b.copied.block(compute);
  prepare_images(network.element(),
                 {static_cast<int>(batch.labels.size()), shape_.h, shape_.w, shape_.c, network.input_channels()},
                 b.bytes_on_device.data(), b.images_on_device.data(), scale_,
                 {colour_pixels_.data(), colour_means_.data()}, network.input(), compute);
  check(cudaMemcpyAsync(network.labels(), b.labels_on_device.data(), room * sizeof(int), cudaMemcpyDeviceToDevice,
                        compute),
        "copying labels");
  b.consumed.record(compute);
  b.used = true;
}

}  // namespace lockstep::cuda
