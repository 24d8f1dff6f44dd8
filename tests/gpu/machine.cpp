#include "tests/gpu/machine.hpp"

#include <cuda_runtime_api.h>

namespace lockstep::test {

int show_devices(int) {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess ? devices : 0;
}

std::function<std::unique_ptr<Device>(const DeviceSettings&)> reference_device() { return {}; }

}  // namespace lockstep::test
