#include "real/cuda/comm/device_facts.hpp"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "real/cuda/base/check.hpp"
#include "real/cuda/comm/nccl_communicator.hpp"

namespace lockstep::cuda {

std::vector<std::string> visible_devices(std::string* reason) {
  int count = 0;
  std::vector<std::string> names;
  if (const cudaError_t result = cudaGetDeviceCount(&count); result != cudaSuccess) {
    cudaGetLastError();
    if (reason != nullptr) *reason = cudaGetErrorString(result);
    return names;
  }
  if (count == 0 && reason != nullptr) *reason = "the driver reports no device";
  for (int d = 0; d < count; ++d) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, d), "cudaGetDeviceProperties");
    std::string name;
    for (const char c : properties.uuid.bytes) name += fmt::format("{:02x}", static_cast<unsigned char>(c));
    names.push_back(std::move(name));
  }
  return names;
}

DeviceFacts device_facts(int device, std::size_t cudnn) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  DeviceFacts facts;
  facts.name = properties.name;
  facts.memory = properties.totalGlobalMem;
  facts.cudnn = cudnn;
  check(cudaDriverGetVersion(&facts.driver_cuda), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&facts.runtime), "cudaRuntimeGetVersion");
  check_nccl(ncclGetVersion(&facts.nccl), "ncclGetVersion");
  std::ifstream file("/proc/driver/nvidia/version");
  std::ostringstream text;
  if (file) text << file.rdbuf();
  facts.driver = driver_number(text.str());
  return facts;
}

}  // namespace lockstep::cuda
