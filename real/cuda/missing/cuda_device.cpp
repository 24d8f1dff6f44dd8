// Built without CUDA.
#include "core/base/error.hpp"
#include "real/cuda/device/cuda_device.hpp"

namespace lockstep {

void require_cuda(const RunSpec&) {
  throw ConfigError("run file", "training.device",
                    "this program was built without CUDA; expected \"cpu\", or a build with -DLOCKSTEP_CUDA=ON");
}

std::unique_ptr<Device> cuda_device(const DeviceSettings& settings) {
  require_cuda(*settings.run);
  return nullptr;
}

}  // namespace lockstep
