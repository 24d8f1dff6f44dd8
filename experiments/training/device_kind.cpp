#include "experiments/training/device_kind.hpp"

#include "real/cpu/cpu_device.hpp"
#include "real/cpu/cpu_rates.hpp"
#include "real/cuda/device/cuda_device.hpp"

namespace lockstep {

DeviceKind device_of(const RunSpec& run) {
  if (run.training.device == "cuda") return {require_cuda, cuda_device, cuda_rates};
  return {require_cpu, cpu_device, cpu_rates};
}

}  // namespace lockstep
