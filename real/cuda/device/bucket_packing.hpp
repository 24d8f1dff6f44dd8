// Between gradients where layers leave them and buckets as they travel.
#pragma once

#include <memory>
#include <vector>

#include "core/plan/step_program.hpp"
#include "core/spec/run_spec.hpp"
#include "real/cuda/comm/gradient_lane.hpp"
#include "real/cuda/network/device_tensor_set.hpp"

namespace lockstep::cuda {

/// The program's buckets with kernels that pack them from the gradient sets (one per norm group whose sums are ordered, else one) and unpack the sums
/// into the first. Values travel without the channels that pad the first convolution. In 16 bits they travel divided by the number of ranks, so
/// that sums stay within fp16's range. The sets must outlive the buckets.
std::vector<LaneBucket> packed_buckets(const StepProgram& program, const RunSpec& run,
                                       const std::vector<DeviceTensorSet>& gradients);

}  // namespace lockstep::cuda
