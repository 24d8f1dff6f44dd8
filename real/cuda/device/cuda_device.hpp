// A rank's GPU as a Device: cuDNN computes, NCCL or the host moves gradients.
#pragma once

#include <memory>

#include "real/world/device.hpp"

namespace lockstep {

/// Throws ConfigError with what of the run GPUs cannot do, or with the reason (training.device) where the program was built without CUDA or there is
/// no GPU.
void require_cuda(const RunSpec& run);

/// Weights, velocity and gradients are fp32 on the device; activations of the run's precision. step() returns while the device works; a step may begin
/// while the one before is under way. Whole steps are replayed as CUDA graphs (real.cuda_graph) where the program has one micro-step, all images are
/// there, and gradients do not travel through the host; traced steps run operation by operation. Equal inputs give equal bits with real.deterministic on
/// equal GPUs and library versions. As require_cuda; BackendError where a library fails.
std::unique_ptr<Device> cuda_device(const DeviceSettings& settings);

/// Of the current GPU: products of 8,192 x 8,192 on zeros (values do not matter but for the clock), a copy of 1 GiB. About a second. As cuda_device.
DeviceRates cuda_rates();

}  // namespace lockstep
