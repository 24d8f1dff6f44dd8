// Gradients over real/comm, through page-locked memory of the host.
#pragma once

#include <vector>

#include "real/comm/communication_lane.hpp"
#include "real/cuda/base/memory.hpp"
#include "real/cuda/comm/gradient_lane.hpp"

namespace lockstep::cuda {

/// Each bucket is packed and copied to the host in one stream, goes through the planner's own schedule (or
/// run_ordered(), run_library()) on the communication thread, and is copied back and unpacked in another stream: the
/// next bucket comes down while this one goes up. Messages are in the wire type, sums in fp32, as in CPU runs: with 16
/// bits a rank's values are rounded when they are packed and the sums once more at each hop. Several ranks may share a
/// device, as threads of one process or as processes. Copies are of whole buckets, so a bucket costs 2 bytes / PCIe
/// rate beside its allreduce. Not capturable: wait() waits on the host until the sums are on their way to the device.
class HostStagedLane final : public GradientLane {
 public:
  /// `transport` belongs to the lane between start() and wait().
  HostStagedLane(Transport& transport, std::vector<LaneBucket> buckets, LaneSettings settings);
  ~HostStagedLane() override;

  std::string description() const override { return "host-staged over " + transport_.description(); }
  bool capturable() const override { return false; }
  bool owns_transport() const override { return true; }
  void begin_step(cudaStream_t compute) override;
  void start(BucketId bucket, const Event& ready, int filled = -1) override;
  void wait(BucketId bucket, cudaStream_t compute) override;
  void launched(cudaStream_t stream) override;
  void check() override;
  Times times(BucketId bucket) override;

 private:
  struct Slot;
  class StagedRun;
  Slot& slot(BucketId bucket);

  Transport& transport_;
  const LaneSettings settings_;
  int device_ = 0;
  Stream down_{true}, up_{true};
  std::vector<std::unique_ptr<Slot>> slots_;
  Event step_begin_{true};
  std::string error_;
  CommunicationLane lane_;  ///< last: its thread uses the others
};

}  // namespace lockstep::cuda
