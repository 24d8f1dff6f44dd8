// The runtime's memory. What is fresh holds NaN (the first 4 MiB of larger pieces, which only workspaces are); copies and fills are checked when they are called; nothing waits that
// need not: fills return at once, copies read and write the host's memory in stream order.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

namespace {

constexpr std::size_t kPoisoned = std::size_t{4} << 20;

enum class Place { Device, Pinned };

struct Piece {
  std::size_t bytes = 0;
  int device = 0;
  Place place = Place::Device;
};

struct Pieces {
  std::mutex mutex;
  std::map<const char*, Piece> all;
};
Pieces& pieces() {
  static Pieces p;
  return p;
}

cudaError_t allocate(void** p, std::size_t bytes, Place place) {
  if (const cudaError_t e = emulator::refused_in_capture(); e != cudaSuccess) return e;
  if (posix_memalign(p, 256, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*p, 0xff, std::min(bytes, kPoisoned));
  Pieces& all = pieces();
  const std::lock_guard lock(all.mutex);
  all.all[static_cast<const char*>(*p)] = {bytes, emulator::current_device(), place};
  return emulator::fault(emulator::current_device());
}

/// Waits for the device, as the library does.
cudaError_t release(void* p, Place place) {
  if (p == nullptr) return cudaSuccess;
  if (const cudaError_t e = emulator::refused_in_capture(); e != cudaSuccess) return e;
  Piece piece;
  {
    Pieces& all = pieces();
    const std::lock_guard lock(all.mutex);
    const auto it = all.all.find(static_cast<const char*>(p));
    if (it == all.all.end() || it->second.place != place) return cudaErrorInvalidValue;
    piece = it->second;
    all.all.erase(it);
  }
  emulator::drain_device(piece.device);
  return std::free(p), cudaSuccess;
}

bool right_places(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return emulator::in_device_memory(to, bytes) == to_device && emulator::in_device_memory(from, bytes) == from_device;
}

}  // namespace

bool emulator::in_device_memory(const void* p, std::size_t bytes) {
  Pieces& all = pieces();
  const std::lock_guard lock(all.mutex);
  const char* at = static_cast<const char*>(p);
  const auto next = all.all.upper_bound(at);
  if (next == all.all.begin()) return false;
  const auto& [begin, piece] = *std::prev(next);
  return piece.place == Place::Device && at + bytes <= begin + piece.bytes;
}

std::size_t emulator::live_allocations() {
  Pieces& all = pieces();
  const std::lock_guard lock(all.mutex);
  return all.all.size();
}

extern "C" {

cudaError_t cudaMalloc(void** p, std::size_t bytes) { return allocate(p, bytes, Place::Device); }
cudaError_t cudaFree(void* p) { return release(p, Place::Device); }
cudaError_t cudaHostAlloc(void** p, std::size_t bytes, unsigned) { return allocate(p, bytes, Place::Pinned); }
cudaError_t cudaFreeHost(void* p) { return release(p, Place::Pinned); }
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return *free = *total = std::size_t{1} << 30, cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t stream) {
  if (!emulator::in_device_memory(p, bytes)) return cudaErrorInvalidValue;
  return emulator::put(stream, [=] { std::memset(p, value, bytes); });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!right_places(to, from, bytes, kind)) return cudaErrorInvalidValue;
  return emulator::put(stream, [=] { std::memmove(to, from, bytes); });
}

cudaError_t cudaMemset(void* p, int value, std::size_t bytes) {
  if (emulator::refused_in_capture() != cudaSuccess) return cudaErrorStreamCaptureImplicit;
  return cudaMemsetAsync(p, value, bytes, nullptr);
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (emulator::refused_in_capture() != cudaSuccess) return cudaErrorStreamCaptureImplicit;
  if (const cudaError_t e = cudaMemcpyAsync(to, from, bytes, kind, nullptr); e != cudaSuccess) return e;
  return cudaStreamSynchronize(nullptr);
}

}  // extern "C"
