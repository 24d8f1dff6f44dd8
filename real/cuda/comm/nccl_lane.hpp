// Gradients over NCCL.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "real/cuda/base/memory.hpp"
#include "real/cuda/comm/gradient_lane.hpp"
#include "real/cuda/comm/nccl_communicator.hpp"
#include "real/cuda/comm/watchdog.hpp"

namespace lockstep::cuda {

/// One stream before all others, in which each bucket is packed, goes through the calls of nccl_calls(), and is
/// unpacked. Sums are made by NCCL in the wire type: with 16 bits every addition rounds, unlike real/comm, which adds
/// in fp32. Equal inputs give equal bits on all ranks; from run to run as far as NCCL chooses the same algorithm. A
/// watchdog thread notices errors of NCCL and collectives that do not end, and aborts the communicators so that the
/// streams run on. Capturable; a graph that holds its collectives must be destroyed before the lane is.
class NcclLane final : public GradientLane {
 public:
  /// Every rank of `transport` calls it at the same time, with its device current and alone on it. The communicators
  /// are ready within settings.timeout each, or BackendError. `transport` is used here, and by the roll call of an
  /// error.
  NcclLane(Transport& transport, std::vector<LaneBucket> buckets, LaneSettings settings);
  ~NcclLane() override;

  std::string description() const override { return nccl_version(); }
  bool capturable() const override { return true; }
  bool owns_transport() const override { return false; }
  void begin_step(cudaStream_t compute) override;
  void start(BucketId bucket, const Event& ready, int filled = -1) override;
  void wait(BucketId bucket, cudaStream_t compute) override;
  void launched(cudaStream_t stream) override;
  void check() override;
  Times times(BucketId bucket) override;

 private:
  struct Marks {
    Event begin{true}, end{true};
  };
  struct Slot {
    LaneBucket bucket;
    DeviceArray<std::byte> own;
    void* memory = nullptr;
    std::vector<NcclPhase> phases;
    Marks eager, replayed;  ///< the watchdog may ask for the eager ones while a graph is being captured
    bool captured = false;  ///< the last start() was
    Event done;             ///< what others wait for
    bool open = false;      ///< started, not waited for
  };
  Slot& slot(BucketId bucket);
  /// Makes the calls and waits until the library has taken them: false if it did not in time. Throws BackendError.
  bool call(const NcclPhase& phase, const Slot& slot);
  bool settle();
  std::string what(BucketId bucket) const;

  Transport& transport_;
  const LaneSettings settings_;
  Stream stream_{true};
  std::vector<Slot> slots_;
  Event step_begin_{true};
  std::string error_;  ///< the whole message, once there is one

  std::mutex mutex_;  ///< of the communicators: the watchdog may abort them at any time
  bool aborted_ = false;
  NcclCommunicators communicators_;
  std::unique_ptr<Watchdog> watchdog_;  ///< last: its thread uses the others
};

}  // namespace lockstep::cuda
