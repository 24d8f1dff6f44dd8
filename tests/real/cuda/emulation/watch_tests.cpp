// After every test of a program: no device may have failed, and everything must have been given back.
#include <gtest/gtest.h>

#include "tests/real/cuda/emulation/machine.hpp"

namespace {

class Watch final : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { allocations_ = emulator::live_allocations(); }
  void OnTestEnd(const testing::TestInfo&) override {
    for (int device = 0; device < emulator::kMostDevices; ++device)
      EXPECT_EQ(emulator::take_fault(device), "") << "device " << device;
    EXPECT_EQ(emulator::live_allocations(), allocations_) << "device or pinned memory was not given back";
    emulator::set_devices(4);
  }
  std::size_t allocations_ = 0;
};

const bool kWatching = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Watch);
  return true;
}();

}  // namespace
