#include "real/cuda/network/handles.hpp"

#include <fmt/format.h>

namespace lockstep::cuda {

namespace {
// What NVIDIA recommends for Hopper; earlier devices need 4 MiB.
constexpr std::size_t kCublasWorkspace = std::size_t{32} << 20;
}  // namespace

Handles::Handles(cudaStream_t stream) : stream_(stream), workspace_(kCublasWorkspace) {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  capability_ = 10 * properties.major + properties.minor;
  environment_ = fmt::format("cuDNN {}, {}", cudnnGetVersion(), properties.name);

  cudnnHandle_t cudnn = nullptr;
  check(cudnnCreate(&cudnn), "handles", "cudnnCreate");
  cudnn_.reset(cudnn);
  check(cudnnSetStream(cudnn, stream), "handles", "cudnnSetStream");

  cublasHandle_t cublas = nullptr;
  check(cublasCreate(&cublas), "handles", "cublasCreate");
  cublas_.reset(cublas);
  check(cublasSetStream(cublas, stream), "handles", "cublasSetStream");
  // After the stream: setting that resets the workspace.
  check(cublasSetWorkspace(cublas, workspace_.data(), workspace_.bytes()), "handles", "cublasSetWorkspace");
  const auto math = static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  check(cublasSetMathMode(cublas, math), "handles", "cublasSetMathMode");
}

}  // namespace lockstep::cuda
