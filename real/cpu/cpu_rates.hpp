// How fast one core multiplies and copies.
#pragma once

#include "real/world/device.hpp"

namespace lockstep {

/// Of one thread: an fp32 matrix product by oneDNN (half precision is taken for twice as fast), a copy larger than the caches; and one core's share of the memory. About half a second.
/// Throws ConfigError where the program was built without oneDNN.
DeviceRates cpu_rates();

}  // namespace lockstep
