// The communication lane of a rank that computes on a GPU: buckets of gradients, summed over ranks beside the
// computation.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/plan/step_program.hpp"
#include "core/spec/run_spec.hpp"
#include "real/comm/transport.hpp"
#include "real/comm/wire.hpp"
#include "real/cuda/base/stream.hpp"

namespace lockstep::cuda {

/// A bucket of this rank. The lane sums plan.elements values of the wire type, in place in `memory`.
struct LaneBucket {
  CollectivePlan plan;
  WireType wire = WireType::Fp32;
  /// In device memory, aligned to 16 bytes: `groups` times plan.elements values, one buffer behind the other. Null: the
  /// lane's own. An fp32 bucket whose gradients lie in one piece needs no copy: give that piece, and neither pack nor
  /// unpack.
  void* memory = nullptr;
  /// Batch-norm groups of this rank whose sums are ordered (run_ordered(), fp32 only); 1 for all other reductions. The
  /// total arrives in the first buffer.
  int groups = 1;
  /// Queues the kernels that fill `memory` from the gradients; they may scale, for instance by 1 / images, so that
  /// 16-bit sums over all ranks stay in range. Empty where the gradients lie there already.
  std::function<void(void* memory, cudaStream_t stream)> pack;
  /// Queues the kernels that bring the sums from `memory` to where they are used. Empty where they are used there.
  std::function<void(const void* memory, cudaStream_t stream)> unpack;
};

/// One bucket each for the buckets of a program, in order; wire types by wire_type(). Memory and kernels are the
/// caller's to add.
std::vector<LaneBucket> lane_buckets(const StepProgram& program, Precision wire_precision);

struct LaneSettings {
  /// run.real.timeout. NCCL: of one collective, from when this rank's device has begun it. Host-staged: without any
  /// progress, the wait for this rank's own device included.
  Time timeout = Time::seconds(60);
  Reduction reduction = Reduction::Planned;  ///< run.allreduce.reduction; NCCL: planned only
  int in_flight = 1;                         ///< run.allreduce.in_flight; NCCL always runs one after the other
  Time patience = Time::seconds(2);          ///< of the roll call before a time-out of NCCL is reported
};

/// Used by the thread of its rank, with its device current, which must stay so. Every rank starts the same buckets in
/// the same order. Between start() and wait() the transport belongs to the lane where it says so (owns_transport()).
///
/// In each step: begin_step(); for each bucket start() as soon as its gradients are queued, wait() before what reads
/// the sum. A second start() of a bucket needs its wait() before. Errors of the machine, lost ranks and time-outs come
/// as one BackendError that names rank, host, bucket and, where they are known, the ranks that are late; the first of
/// them ends the lane, and every later call throws the same.
class GradientLane {
 public:
  /// From begin_step() on, by the device's clock: `begin` when the device began the bucket (its gradients were complete
  /// and the lane free), `end` when the sums were unpacked.
  struct Times {
    Time begin, end;
  };

  virtual ~GradientLane() = default;
  /// "NCCL 2.28.9", "host-staged over Open MPI 4.1.4".
  virtual std::string description() const = 0;
  /// True if wait() never waits on the host, and start() only until the library has taken the calls (which includes
  /// connecting to the other ranks on first use). Both may then be called while `compute` is being captured in a CUDA
  /// graph, with cudaStreamCaptureModeThreadLocal or Relaxed, after one step that was not. Every bucket started in a
  /// capture must be waited for in it; begin_step() belongs into it too. launched() follows each launch.
  virtual bool capturable() const = 0;
  /// True if the transport is in use by another thread from start() to wait().
  virtual bool owns_transport() const = 0;

  /// Marks the point of `compute` from which times() counts.
  virtual void begin_step(cudaStream_t compute) = 0;
  /// The gradients of the bucket are complete once `ready` is reached, which has been recorded already. Of `filled`
  /// groups only (negative: of all).
  virtual void start(BucketId bucket, const Event& ready, int filled = -1) = 0;
  /// What comes later in `compute` waits for the sums.
  virtual void wait(BucketId bucket, cudaStream_t compute) = 0;
  /// After a CUDA graph with collectives in it was launched in `stream`: the time-out now runs for all of them
  /// together.
  virtual void launched(cudaStream_t stream) = 0;
  /// Throws what went wrong, without waiting. After a fault of NCCL the streams run on, with wrong sums, so it is
  /// called once more before the results of a step are used.
  virtual void check() = 0;
  /// Of the last step, once that is over (of a launched graph: once synchronise() of an event behind it has returned).
  virtual Times times(BucketId bucket) = 0;

  /// Waits on the host until `event` is reached, with check() in between: unlike Event::synchronise() it returns even
  /// if a collective before the event never ends.
  void synchronise(const Event& event);
};

/// True while `stream` takes part in the capture of a CUDA graph.
bool captured(cudaStream_t stream);

/// Records a timed event so that it can be asked for after every launch of the graph, if `stream` is being captured.
void record_timed(Event& event, cudaStream_t stream);

/// For a thread other than the rank's: takes the rank's device, and may ask for events while another thread captures.
void enter_thread(int device);

}  // namespace lockstep::cuda
