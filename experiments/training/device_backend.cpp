#include "experiments/training/device_backend.hpp"

#include "real/cpu/cpu_device.hpp"
#include "real/cpu/cpu_rates.hpp"
#include "real/cuda/device/cuda_device.hpp"

namespace lockstep {

DeviceBackend device_of(const RunSpec& run) {
  if (run.training.device == DeviceKind::Cuda) return {require_cuda, cuda_device, cuda_rates};
  return {require_cpu, cpu_device, cpu_rates};
}

}  // namespace lockstep
