#include "real/cpu/cpu_device.hpp"
#include "tests/gpu/machine.hpp"
#include "tests/real/cuda/emulation/machine.hpp"

namespace lockstep::test {

int show_devices(int most) {
  emulator::set_devices(most);
  return most;
}

std::function<std::unique_ptr<Device>(const DeviceSettings&)> reference_device() { return cpu_device; }

}  // namespace lockstep::test
