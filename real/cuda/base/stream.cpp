#include "real/cuda/base/stream.hpp"

namespace lockstep::cuda {

Stream::Stream(bool urgent) {
  int least = 0, most = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &most), "cudaDeviceGetStreamPriorityRange");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, urgent ? most : least),
        "cudaStreamCreateWithPriority");
  stream_.reset(stream);
}

void Stream::synchronise() const { check(cudaStreamSynchronize(stream_.get()), "waiting for a stream"); }

Event::Event(bool timed) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming), "cudaEventCreate");
  event_.reset(event);
}

void Event::record(cudaStream_t stream) { check(cudaEventRecord(event_.get(), stream), "cudaEventRecord"); }

void Event::block(cudaStream_t stream) const {
  check(cudaStreamWaitEvent(stream, event_.get(), 0), "cudaStreamWaitEvent");
}

bool Event::reached() const {
  const cudaError_t result = cudaEventQuery(event_.get());
  if (result == cudaErrorNotReady) return false;
  check(result, "cudaEventQuery");
  return true;
}

void Event::synchronise() const { check(cudaEventSynchronize(event_.get()), "waiting for an event"); }

Time Event::since(const Event& begin) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin.event_.get(), event_.get()), "cudaEventElapsedTime");
  return Time::seconds(milliseconds * 1e-3);
}

}  // namespace lockstep::cuda
