// Built without CUDA.
#include "real/cuda/device/cuda_device.hpp"
#include "core/base/error.hpp"

namespace lockstep {

void require_cuda(const RunSpec&) {
  throw ConfigError("run file", "training.device",
                    "this program was built without CUDA; expected \"cpu\", or a build with -DLOCKSTEP_CUDA=ON");
}

std::unique_ptr<Device> cuda_device(const DeviceSettings& settings) {
  require_cuda(*settings.run);
  return nullptr;
}

DeviceRates cuda_rates() {
  require_cuda({});
  return {};
}

}  // namespace lockstep
