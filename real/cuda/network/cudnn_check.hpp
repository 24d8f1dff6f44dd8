// Errors of cuDNN and cuBLAS.
#pragma once

#include <cublas_v2.h>
#include <cudnn.h>

#include <string_view>

namespace lockstep::cuda {

/// Throws BackendError "LAYER: CALL: status text" unless the call succeeded. `layer`: what the call was for ("handles"
/// outside layers).
void check(cudnnStatus_t status, std::string_view layer, std::string_view call);
void check(cublasStatus_t status, std::string_view layer, std::string_view call);

}  // namespace lockstep::cuda
