#include "real/cuda/comm/make_lane.hpp"

#include <utility>

#include "real/cuda/comm/host_staged_lane.hpp"
#include "real/cuda/comm/nccl_lane.hpp"

namespace lockstep::cuda {

std::unique_ptr<GradientLane> make_lane(LaneKind kind, Transport& transport, std::vector<LaneBucket> buckets,
                                        LaneSettings settings) {
  if (kind == LaneKind::Nccl) return std::make_unique<NcclLane>(transport, std::move(buckets), std::move(settings));
  return std::make_unique<HostStagedLane>(transport, std::move(buckets), std::move(settings));
}

}  // namespace lockstep::cuda
