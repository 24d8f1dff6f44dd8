// Built where oneDNN was not found.
#include "real/cpu/cpu_device.hpp"

#include "core/base/error.hpp"
#include "real/cpu/cpu_rates.hpp"

namespace lockstep {

void require_cpu(const RunSpec&) {
  throw ConfigError("run file", "training.device",
                    "this program was built without oneDNN (Debian: libdnnl-dev), which \"cpu\" needs");
}

std::unique_ptr<Device> cpu_device(const DeviceSettings& settings) {
  require_cpu(*settings.run);
  return nullptr;
}

DeviceRates cpu_rates() {
  require_cpu({});
  return {};
}

}  // namespace lockstep
