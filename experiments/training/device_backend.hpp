// What computes for a rank of a real run.
#pragma once

#include <functional>
#include <memory>

#include "core/spec/run_spec.hpp"
#include "real/world/device.hpp"

namespace lockstep {

struct DeviceBackend {
  std::function<void(const RunSpec&)> require;  ///< throws ConfigError with what stands against it
  std::function<std::unique_ptr<Device>(const DeviceSettings&)> make;
  std::function<DeviceRates()> rates;
};

/// By `training.device`.
DeviceBackend device_of(const RunSpec& run);

}  // namespace lockstep
