#include "real/cuda/comm/gradient_lane.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/base/error.hpp"

namespace lockstep::cuda {

namespace {

constexpr int kSpins = 2000;  // questions before the thread begins to sleep: most waits are for less than that
constexpr std::chrono::microseconds kSleep{50};

}  // namespace

std::vector<LaneBucket> lane_buckets(const StepProgram& program, Precision wire_precision) {
  LOCKSTEP_EXPECTS(program.collectives.size() == program.buckets.buckets.size());
  std::vector<LaneBucket> out;
  for (std::size_t b = 0; b < program.collectives.size(); ++b) {
    LaneBucket bucket;
    bucket.plan = program.collectives[b];
    bucket.wire = wire_type(wire_precision, program.buckets.buckets[b].element_bytes);
    out.push_back(std::move(bucket));
  }
  return out;
}

void GradientLane::synchronise(const Event& event) {
  for (int i = 0; !event.reached(); ++i) {
    if (i < kSpins) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kSleep);
      check();
    }
  }
  check();
}

bool captured(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

void record_timed(Event& event, cudaStream_t stream) {
  check(cudaEventRecordWithFlags(event, stream, captured(stream) ? cudaEventRecordExternal : cudaEventRecordDefault),
        "cudaEventRecordWithFlags");
}

void enter_thread(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  check(cudaThreadExchangeStreamCaptureMode(&mode), "cudaThreadExchangeStreamCaptureMode");
}

}  // namespace lockstep::cuda
