// The lane that choose_device() chose.
#pragma once

#include <memory>
#include <vector>

#include "real/cuda/comm/device_choice.hpp"
#include "real/cuda/comm/gradient_lane.hpp"

namespace lockstep::cuda {

/// Every rank of `transport` calls it at the same time, with its device current and equal arguments but for memory and
/// kernels. Throws BackendError if NCCL's communicators do not come about within settings.timeout.
std::unique_ptr<GradientLane> make_lane(LaneKind kind, Transport& transport, std::vector<LaneBucket> buckets,
                                        LaneSettings settings);

}  // namespace lockstep::cuda
