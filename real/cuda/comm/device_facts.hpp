// What the CUDA runtime says about the GPUs of this node.
#pragma once

#include <string>
#include <vector>

#include "real/cuda/comm/device_choice.hpp"

namespace lockstep::cuda {

/// Unique names of the devices that this process sees, in the runtime's order; empty where there is none, or no driver.
/// `reason`, where given, is then why.
std::vector<std::string> visible_devices(std::string* reason = nullptr);

/// Of one device. `cudnn`: cudnnGetVersion(), of the caller, for this part does not link cuDNN. Throws BackendError.
DeviceFacts device_facts(int device, std::size_t cudnn);

}  // namespace lockstep::cuda
