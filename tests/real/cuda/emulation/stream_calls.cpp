// The runtime's calls for streams and events.
#include <algorithm>
#include <utility>
#include <vector>

#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

using emulator::captures;

namespace {

thread_local int captures_of_thread = 0;

/// With captures() held: an illegal call spoils the capture that the stream is part of.
cudaError_t spoil(CUstream_st& stream, cudaError_t why) {
  if (stream.capture->fault == cudaSuccess) stream.capture->fault = cudaErrorStreamCaptureInvalidated;
  return why;
}

/// With captures() held: an event whose last record was captured can be waited for in that capture only.
bool recorded_in_capture(const CUevent_st& event) { return event.capture != nullptr; }

}  // namespace

cudaError_t emulator::refused_in_capture() {
  return captures_of_thread > 0 ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

extern "C" {

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* most) { return *least = 0, *most = -5, cudaSuccess; }

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  if (flags != cudaStreamNonBlocking) return cudaErrorNotSupported;  // others would wait for the default stream
  *stream = new CUstream_st(emulator::current_device());
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete stream, cudaSuccess; }

cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  const cudaStream_t stream = emulator::stream_of(s);
  if (const cudaError_t e = emulator::refused_in_capture(); e != cudaSuccess) return e;
  {
    const std::lock_guard lock(captures());
    if (stream->capture) return spoil(*stream, cudaErrorStreamCaptureUnsupported);
  }
  emulator::drain(stream);
  return emulator::fault(stream->device);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const std::lock_guard lock(captures());
  *status = emulator::stream_of(stream)->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  thread_local cudaStreamCaptureMode current = cudaStreamCaptureModeGlobal;
  std::swap(*mode, current);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (mode == cudaStreamCaptureModeGlobal || stream == nullptr) return cudaErrorStreamCaptureUnsupported;
  const std::lock_guard lock(captures());
  if (stream->capture) return cudaErrorIllegalState;
  stream->capture = std::make_shared<emulator::Capture>();
  stream->origin = true;
  stream->place.clear();
  captures_of_thread += mode == cudaStreamCaptureModeThreadLocal ? 1 : 0;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->device = emulator::current_device();
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t s, unsigned flags) {
  const cudaStream_t stream = emulator::stream_of(s);
  if (event->device != stream->device) return cudaErrorInvalidResourceHandle;
  const bool external = flags == cudaEventRecordExternal;
  {
    const std::lock_guard lock(captures());
    if (!stream->capture && external) return cudaErrorInvalidValue;
    if (stream->capture && !external) {
      event->capture = stream->capture;
      event->place = stream->place;
      return cudaSuccess;
    }
    if (!external) event->capture.reset();
  }
  if (external) return emulator::put(stream, [state = event->state] { state->reach(state->record()); });
  const std::uint64_t generation = event->state->record();
  return emulator::put(stream, [state = event->state, generation] { state->reach(generation); });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t event, unsigned) {
  const cudaStream_t stream = emulator::stream_of(s);
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(captures());
    if (recorded_in_capture(*event)) {
      if (!event->capture->open) return cudaErrorCapturedEvent;
      if (stream->capture && stream->capture != event->capture) return spoil(*stream, cudaErrorStreamCaptureMerge);
      stream->capture = event->capture;
      stream->place.insert(stream->place.end(), event->place.begin(), event->place.end());
      return cudaSuccess;
    }
    {
      const std::lock_guard state(event->state->mutex);
      generation = event->state->recorded;
    }
    if (generation == 0) return cudaSuccess;
    if (stream->capture) return spoil(*stream, cudaErrorStreamCaptureIsolation);
  }
  return emulator::put(stream, [state = event->state, generation] { state->wait(generation); });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (const cudaError_t e = emulator::refused_in_capture(); e != cudaSuccess) return e;
  {
    const std::lock_guard lock(captures());
    if (recorded_in_capture(*event)) return cudaErrorCapturedEvent;
  }
  const std::lock_guard lock(event->state->mutex);
  if (event->state->reached < event->state->recorded) return cudaErrorNotReady;
  return emulator::fault(event->device);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t e = emulator::refused_in_capture(); e != cudaSuccess) return e;
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(captures());
    if (recorded_in_capture(*event)) return cudaErrorCapturedEvent;
    const std::lock_guard state(event->state->mutex);
    generation = event->state->recorded;
  }
  event->state->wait(generation);
  return emulator::fault(event->device);
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t begin, cudaEvent_t end) {
  if (!begin->timed || !end->timed || begin->device != end->device) return cudaErrorInvalidResourceHandle;
  std::chrono::steady_clock::time_point at[2];
  for (int i = 0; i < 2; ++i) {
    emulator::EventState& state = *(i == 0 ? begin : end)->state;
    const std::lock_guard lock(state.mutex);
    if (state.recorded == 0) return cudaErrorInvalidResourceHandle;
    if (state.reached < state.recorded) return cudaErrorNotReady;
    at[i] = state.at;
  }
  *ms = std::chrono::duration<float, std::milli>(at[1] - at[0]).count();
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t body, void* data) {
  return emulator::put(stream, [=] { body(data); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const std::lock_guard lock(captures());
  if (!stream->capture || !stream->origin) return cudaErrorIllegalState;
  const auto capture = std::exchange(stream->capture, nullptr);
  capture->open = false;
  captures_of_thread = std::max(0, captures_of_thread - 1);
  const std::vector<std::size_t> last = std::exchange(stream->place, {});
  emulator::leave_capture(capture);
  stream->origin = false;
  std::vector<bool> joined(capture->nodes.size(), false);
  for (const std::size_t n : last) joined[n] = true;
  for (std::size_t n = joined.size(); n-- > 0;) {
    if (!joined[n]) return cudaErrorStreamCaptureUnjoined;
    for (const std::size_t need : capture->nodes[n].needs) joined[need] = true;
  }
  if (capture->fault != cudaSuccess) return capture->fault;
  *graph = new CUgraph_st{std::move(capture->nodes)};
  return cudaSuccess;
}

}  // extern "C"
