// Owned memory: on the device, and pinned on the host.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "real/cuda/base/check.hpp"

namespace lockstep::cuda {

namespace detail {
struct FreeDevice {
  void operator()(void* p) const { cudaFree(p); }
};
struct FreePinned {
  void operator()(void* p) const { cudaFreeHost(p); }
};
}  // namespace detail

/// `size` values of T in device memory, not initialised; aligned to 256 bytes. Allocating synchronises the device: never inside a step.
/// Throws BackendError, for example when memory runs out.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(std::size_t size) : size_(size) {
    void* p = nullptr;
    if (size > 0) check(cudaMalloc(&p, size * sizeof(T)), "cudaMalloc");
    data_.reset(static_cast<T*>(p));
  }
  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }
  explicit operator bool() const { return size_ > 0; }

 private:
  std::unique_ptr<T[], detail::FreeDevice> data_;
  std::size_t size_ = 0;
};

/// `size` values of T in page-locked host memory, which the device copies from and to without a stop.
template <class T>
class PinnedArray {
 public:
  PinnedArray() = default;
  explicit PinnedArray(std::size_t size) : size_(size) {
    void* p = nullptr;
    if (size > 0) check(cudaHostAlloc(&p, size * sizeof(T), cudaHostAllocDefault), "cudaHostAlloc");
    data_.reset(static_cast<T*>(p));
  }
  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::span<T> span() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<T[], detail::FreePinned> data_;
  std::size_t size_ = 0;
};

/// Copies in stream order; `host` must stay until the stream is through (and be pinned, if the copy is not to block).
template <class T>
void copy_to_device(std::span<const T> host, T* device, cudaStream_t stream) {
  check(cudaMemcpyAsync(device, host.data(), host.size_bytes(), cudaMemcpyHostToDevice, stream), "copy to the device");
}
template <class T>
void copy_to_host(const T* device, std::span<T> host, cudaStream_t stream) {
  check(cudaMemcpyAsync(host.data(), device, host.size_bytes(), cudaMemcpyDeviceToHost, stream), "copy to the host");
}

}  // namespace lockstep::cuda
