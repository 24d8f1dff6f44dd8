#include "real/cuda/network/cudnn_check.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep::cuda {

void check(cudnnStatus_t status, std::string_view layer, std::string_view call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw BackendError(
      fmt::format("{}: {}: {} ({})", layer, call, cudnnGetErrorString(status), static_cast<int>(status)));
}

void check(cublasStatus_t status, std::string_view layer, std::string_view call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw BackendError(
      fmt::format("{}: {}: {} ({})", layer, call, cublasGetStatusString(status), static_cast<int>(status)));
}

}  // namespace lockstep::cuda
