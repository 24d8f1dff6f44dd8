// Built where oneDNN was not found.
#include "real/cpu/cpu_device.hpp"

#include "core/base/error.hpp"
#include "real/cpu/matrix_product.hpp"

namespace lockstep {

void require_cpu(const RunSpec&) {
  throw ConfigError("run file", "training.device",
                    "this program was built without oneDNN (Debian: libdnnl-dev), which \"cpu\" needs");
}

std::unique_ptr<Device> cpu_device(const DeviceSettings& settings) {
  require_cpu(*settings.run);
  return nullptr;
}

double matrix_product_rate(std::int64_t, int) {
  throw ConfigError("calibrate", "", "this program was built without oneDNN (Debian: libdnnl-dev)");
}

}  // namespace lockstep
