// The emulated runtime: what it refuses, and that work runs in the order of streams and events and no other.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "core/base/error.hpp"
#include "real/cuda/base/memory.hpp"
#include "real/cuda/base/stream.hpp"
#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

namespace lockstep::cuda {
namespace {

/// Holds a stream until it is opened.
struct Gate {
  std::atomic<bool> open = false;
  void hold(cudaStream_t stream) {
    emulator::put(stream, [this] {
      while (!open) std::this_thread::yield();
    });
  }
};

TEST(EmulatedRuntime, StreamsRunBesideTheHostAndEventsOrderThem) {
  Gate gate;
  Stream a, b;
  Event event;
  DeviceArray<int> memory(1);
  int seen = 0;
  gate.hold(a);
  check(cudaMemsetAsync(memory.data(), 0, 4, a), "memset");
  event.record(a);
  EXPECT_FALSE(event.reached());
  event.block(b);
  copy_to_host(static_cast<const int*>(memory.data()), std::span(&seen, 1), b);
  seen = 7;
  gate.open = true;
  b.synchronise();
  EXPECT_EQ(seen, 0);
  EXPECT_TRUE(event.reached());
}

TEST(EmulatedRuntime, CopiesOutsideOfDeviceMemoryAreRefused) {
  DeviceArray<int> memory(4);
  int host[8] = {};
  const Stream s;
  const auto copy = [&](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, s);
  };
  EXPECT_EQ(copy(memory.data(), host, 16, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(copy(memory.data(), host, 17, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host, memory.data(), 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host + 4, host, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  s.synchronise();
}

TEST(EmulatedRuntime, AFaultOfADeviceIsReportedByTheNextCall) {
  const Stream s;
  emulator::put(s, [] { throw std::logic_error("a kernel went wrong"); });
  try {
    s.synchronise();
    FAIL();
  } catch (const BackendError& e) {
    EXPECT_NE(std::string(e.what()).find("a kernel went wrong"), std::string::npos) << e.what();
  }
  EXPECT_EQ(emulator::take_fault(0), "a kernel went wrong");
}

TEST(EmulatedRuntime, CapturesRefuseWhatWaitsOrComesFromOutside) {
  const Stream s, other;
  Event outside, never;
  outside.record(other);
  other.synchronise();
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, 8), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaEventQuery(outside), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamWaitEvent(s, never, 0), cudaSuccess) << "an event never recorded is no wait";
  EXPECT_EQ(cudaStreamWaitEvent(s, outside, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
}

TEST(EmulatedRuntime, CapturedStreamsMustJoin) {
  const Stream s, other;
  Event fork, join;
  for (const bool joins : {false, true}) {
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    fork.record(s);
    fork.block(other);
    emulator::put(other, [] {});
    join.record(other);
    if (joins) join.block(s);
    EXPECT_EQ(cudaStreamEndCapture(s, &graph), joins ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
    if (graph != nullptr) cudaGraphDestroy(graph);
    EXPECT_EQ(cudaStreamWaitEvent(other, join, 0), cudaErrorCapturedEvent);
  }
}

TEST(EmulatedRuntime, GraphsKeepTheOrderOfTheirEdgesOnly) {
  const Stream s, other;
  Event fork, join;
  cudaGraph_t graph = nullptr;
  std::string order;
  ASSERT_EQ(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  emulator::put(s, [&] { order += 'a'; });
  fork.record(s);
  fork.block(other);
  emulator::put(s, [&] { order += 'b'; });
  emulator::put(other, [&] { order += 'c'; });
  join.record(other);
  join.block(s);
  emulator::put(s, [&] { order += 'd'; });
  ASSERT_EQ(cudaStreamEndCapture(s, &graph), cudaSuccess);
  cudaGraphExec_t run = nullptr;
  check(cudaGraphInstantiateWithFlags(&run, graph, 0), "instantiate");
  cudaGraphDestroy(graph);
  EXPECT_EQ(order, "") << "nothing runs while it is captured";
  for (int i = 0; i < 2; ++i) check(cudaGraphLaunch(run, s), "launch");
  s.synchronise();
  EXPECT_EQ(order, "acbdabcd");
  cudaGraphExecDestroy(run);
}

}  // namespace
}  // namespace lockstep::cuda
