// The libraries' contexts of one stream.
#pragma once

#include <memory>
#include <string>
#include <type_traits>

#include "real/cuda/base/memory.hpp"
#include "real/cuda/network/cudnn_check.hpp"

namespace lockstep::cuda {

/// cuDNN and cuBLAS, both enqueueing on `stream` (which must outlive this) of the current device. cuBLAS has a
/// workspace of its own, so that it allocates nothing later and can be captured in a CUDA graph. For one thread at a
/// time. Throws BackendError.
class Handles {
 public:
  explicit Handles(cudaStream_t stream);
  cudnnHandle_t cudnn() const { return cudnn_.get(); }
  cublasHandle_t cublas() const { return cublas_.get(); }
  cudaStream_t stream() const { return stream_; }
  /// 10 x major + minor of the device's compute capability: 70 is a V100, 90 an H200.
  int capability() const { return capability_; }
  /// "cuDNN 91900, NVIDIA H200": what measured choices of algorithms hold for.
  const std::string& environment() const { return environment_; }

 private:
  struct Destroy {
    void operator()(cudnnHandle_t h) const { cudnnDestroy(h); }
    void operator()(cublasHandle_t h) const { cublasDestroy(h); }
  };
  cudaStream_t stream_;
  int capability_ = 0;
  std::string environment_;
  DeviceArray<std::byte> workspace_;
  std::unique_ptr<std::remove_pointer_t<cudnnHandle_t>, Destroy> cudnn_;
  std::unique_ptr<std::remove_pointer_t<cublasHandle_t>, Destroy> cublas_;
};

}  // namespace lockstep::cuda
