// What the tests of a whole device may ask of the machine: answered by machine.cpp on a GPU, and by the emulation.
#pragma once

#include <functional>
#include <memory>

#include "real/world/device.hpp"

namespace lockstep::test {

/// Limits the devices that are visible, where that can be done; how many are visible then.
int show_devices(int most);

/// A device on processors that computes the same, or empty.
std::function<std::unique_ptr<Device>(const DeviceSettings&)> reference_device();

}  // namespace lockstep::test
