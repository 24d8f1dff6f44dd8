// A rank's processors as a Device: oneDNN computes, the planner's schedules move gradients between processes.
#pragma once

#include <memory>

#include "real/world/device.hpp"

namespace lockstep {

/// Throws ConfigError with what of the run processors cannot do (training.precision), or with the reason (training.device) where the program was
/// built without oneDNN.
void require_cpu(const RunSpec& run);

/// Weights, gradients and velocity are fp32. step() returns when all is done. With `reduction = "ordered"` the sum of gradients over batch-norm groups
/// is one left fold whatever the number of ranks. As require_cpu.
std::unique_ptr<Device> cpu_device(const DeviceSettings& settings);

}  // namespace lockstep
