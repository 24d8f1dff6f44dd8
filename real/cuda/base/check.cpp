#include "real/cuda/base/check.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep::cuda {

void check(cudaError_t result, std::string_view what) {
  if (result == cudaSuccess) return;
  cudaGetLastError();
  throw BackendError(fmt::format("{}: {}: {}", what, cudaGetErrorName(result), cudaGetErrorString(result)));
}

void check_launch(std::string_view kernel) { check(cudaGetLastError(), kernel); }

}  // namespace lockstep::cuda
