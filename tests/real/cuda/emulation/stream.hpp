// Streams, events and captured graphs of the emulated runtime. A stream is a thread that takes closures in order.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace emulator {

using Work = std::function<void()>;

/// What a graph holds: closures, and which earlier ones each comes after.
struct Node {
  Work work;
  std::vector<std::size_t> needs;
};

/// A capture under way.
struct Capture {
  std::vector<Node> nodes;
  bool open = true;
  cudaError_t fault = cudaSuccess;  ///< the first illegal call, which spoils it
};

/// How often an event was recorded and reached. Outlives its event where a stream still waits for it.
struct EventState {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t recorded = 0, reached = 0;
  std::chrono::steady_clock::time_point at;

  std::uint64_t record();
  void reach(std::uint64_t generation);
  void wait(std::uint64_t generation);
};

/// Guards captures: those of streams and of events.
std::mutex& captures();
/// Tells that the calling thread captures, so that calls that would wait are refused: the fault, or cudaSuccess.
cudaError_t refused_in_capture();

/// With captures() held: streams that joined the capture leave it.
void leave_capture(const std::shared_ptr<Capture>& capture);

/// Queues, or captures if the stream does. Returns what earlier work of the device did wrong.
cudaError_t put(cudaStream_t stream, Work work);
/// Waits for what has been queued so far.
void drain(cudaStream_t stream);
/// The same for all streams of a device.
void drain_device(int device);
/// The one that nullptr means, of the calling thread's device.
cudaStream_t stream_of(cudaStream_t stream);

/// Remembers the first fault of a device's work until take_fault().
void fail(int device, const std::string& text);
/// cudaErrorLaunchFailure if work of the device failed, until take_fault().
cudaError_t fault(int device);
std::string fault_text(int device);

}  // namespace emulator

struct CUgraph_st {
  std::vector<emulator::Node> nodes;
};

struct CUgraphExec_st {
  std::vector<emulator::Node> nodes;
  int launches = 0;
};

struct CUevent_st {
  std::shared_ptr<emulator::EventState> state = std::make_shared<emulator::EventState>();
  int device = 0;
  bool timed = false;
  std::shared_ptr<emulator::Capture> capture;  ///< that it was last recorded in
  std::vector<std::size_t> place;              ///< the nodes before it there
};

struct CUstream_st {
  explicit CUstream_st(int on);
  /// Works off what is queued.
  ~CUstream_st();
  void push(emulator::Work work);

  const int device;
  std::shared_ptr<emulator::Capture> capture;  ///< guarded by captures(), as `place`
  bool origin = false;                         ///< of its capture
  std::vector<std::size_t> place;              ///< the nodes that the next one comes after

 private:
  void live();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<emulator::Work> queue_;
  bool stop_ = false;
  std::thread thread_;
};
