// What tests ask of the emulated machine beside the CUDA calls.
#pragma once

#include <cstddef>
#include <string>

namespace emulator {

constexpr int kMostDevices = 8;

/// How many devices there are, 4 at first. Not while any is in use.
void set_devices(int count);
/// cudaSetDevice() of the calling thread.
int current_device();

/// The text of the first fault of the device's work, once: an exception of a kernel or a stand-in. The calls after it
/// return cudaErrorLaunchFailure until it is taken.
std::string take_fault(int device);

/// What has not been given back, of all devices.
std::size_t live_allocations();
std::size_t live_streams();

/// True if [p, p + bytes) lies in one piece of device memory.
bool in_device_memory(const void* p, std::size_t bytes);

}  // namespace emulator
