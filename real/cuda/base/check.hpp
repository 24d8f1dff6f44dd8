// Errors of the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <string_view>

namespace lockstep::cuda {

/// Throws BackendError "WHAT: cudaErrorName: text" for a result other than cudaSuccess. Clears the runtime's last error.
void check(cudaError_t result, std::string_view what);

/// After a kernel launch: faults of the launch itself. Those of the kernel come with the next synchronising call.
void check_launch(std::string_view kernel);

}  // namespace lockstep::cuda
