#include "tests/real/cuda/emulation/stream.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <set>
#include <utility>

#include "tests/real/cuda/emulation/machine.hpp"

namespace emulator {

namespace {

struct Registry {
  std::mutex mutex;
  std::set<CUstream_st*> streams;
  std::array<std::string, kMostDevices> faults;
};
Registry& registry() {
  static Registry r;
  return r;
}

}  // namespace

std::uint64_t EventState::record() {
  const std::lock_guard lock(mutex);
  return ++recorded;
}

void EventState::reach(std::uint64_t generation) {
  const std::lock_guard lock(mutex);
  reached = std::max(reached, generation);
  at = std::chrono::steady_clock::now();
  changed.notify_all();
}

void EventState::wait(std::uint64_t generation) {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return reached >= generation; });
}

std::mutex& captures() {
  static std::mutex m;
  return m;
}

cudaStream_t stream_of(cudaStream_t stream) {
  if (stream != nullptr) return stream;
  registry();  // outlives the streams that are made here
  static std::mutex mutex;
  static std::array<std::unique_ptr<CUstream_st>, kMostDevices> defaults;
  const std::lock_guard lock(mutex);
  auto& one = defaults[static_cast<std::size_t>(current_device())];
  if (!one) one = std::make_unique<CUstream_st>(current_device());
  return one.get();
}

void leave_capture(const std::shared_ptr<Capture>& capture) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  for (CUstream_st* stream : r.streams) {
    if (stream->capture != capture) continue;
    stream->capture.reset();
    stream->place.clear();
  }
}

cudaError_t put(cudaStream_t s, Work work) {
  const cudaStream_t stream = stream_of(s);
  {
    const std::lock_guard lock(captures());
    if (stream->capture) {
      stream->capture->nodes.push_back({std::move(work), std::exchange(stream->place, {})});
      stream->place = {stream->capture->nodes.size() - 1};
      return fault(stream->device);
    }
  }
  stream->push(std::move(work));
  return fault(stream->device);
}

void drain(cudaStream_t stream) {
  const auto event = std::make_shared<EventState>();
  const std::uint64_t generation = event->record();
  stream_of(stream)->push([event, generation] { event->reach(generation); });
  event->wait(generation);
}

void drain_device(int device) {
  std::vector<std::pair<std::shared_ptr<EventState>, std::uint64_t>> ends;
  {
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    for (CUstream_st* stream : r.streams) {
      if (stream->device != device) continue;
      const auto event = std::make_shared<EventState>();
      const std::uint64_t generation = event->record();
      stream->push([event, generation] { event->reach(generation); });
      ends.emplace_back(event, generation);
    }
  }
  for (const auto& [event, generation] : ends) event->wait(generation);
}

void fail(int device, const std::string& text) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  std::string& first = r.faults[static_cast<std::size_t>(device)];
  if (first.empty()) first = text;
}

cudaError_t fault(int device) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return r.faults[static_cast<std::size_t>(device)].empty() ? cudaSuccess : cudaErrorLaunchFailure;
}

std::string fault_text(int device) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return r.faults[static_cast<std::size_t>(device)];
}

std::string take_fault(int device) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return std::exchange(r.faults[static_cast<std::size_t>(device)], {});
}

std::size_t live_streams() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return r.streams.size();
}

void launch(cudaStream_t stream, std::function<void()> kernel) {
  if (stream == nullptr) return kernel();
  if (stream->device != current_device()) return fail(current_device(), "a kernel on a stream of another device");
  put(stream, std::move(kernel));
}

}  // namespace emulator

CUstream_st::CUstream_st(int on) : device(on), thread_([this] { live(); }) {
  emulator::Registry& r = emulator::registry();
  const std::lock_guard lock(r.mutex);
  r.streams.insert(this);
}

CUstream_st::~CUstream_st() {
  {
    emulator::Registry& r = emulator::registry();
    const std::lock_guard lock(r.mutex);
    r.streams.erase(this);
  }
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CUstream_st::push(emulator::Work work) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  changed_.notify_all();
}

void CUstream_st::live() {
  while (true) {
    emulator::Work work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    try {
      work();
    } catch (const std::exception& e) {
      emulator::fail(device, e.what());
    }
  }
}
