#include "real/cuda/jpeg/decoder.hpp"

#include <nvjpeg.h>

#include <map>
#include <mutex>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/cuda/base/memory.hpp"
#include "real/cuda/base/stream.hpp"

namespace lockstep::cuda {

namespace {

// Newer versions of the library know more of them.
constexpr unsigned kFlags = NVJPEG_FLAGS_DEFAULT
#ifdef NVJPEG_FLAGS_BITSTREAM_STRICT
                            | (NVJPEG_FLAGS_BITSTREAM_STRICT)
#endif
#ifdef NVJPEG_FLAGS_UPSAMPLING_WITH_INTERPOLATION
                            | (NVJPEG_FLAGS_UPSAMPLING_WITH_INTERPOLATION)
#endif
    ;

constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;  // as decode_jpeg()
constexpr std::size_t kPiece = std::size_t{1} << 18;         // sizes of memory are multiples of it

void check_nvjpeg(nvjpegStatus_t status, const char* call) {
  if (status != NVJPEG_STATUS_SUCCESS)
    throw BackendError(fmt::format("{}: nvJPEG status {}", call, static_cast<int>(status)));
}

/// The machine's fault rather than the file's.
bool is_failure(nvjpegStatus_t status) {
  return status == NVJPEG_STATUS_NOT_INITIALIZED || status == NVJPEG_STATUS_ALLOCATOR_FAILURE ||
         status == NVJPEG_STATUS_EXECUTION_FAILED || status == NVJPEG_STATUS_ARCH_MISMATCH;
}

/// Device memory that is used again. Pieces may come back from any thread, and after everything else of the decoder is gone.
class Store {
 public:
  explicit Store(int device) : device_(device) {}
  int device() const { return device_; }

  DeviceArray<unsigned char> take(std::size_t bytes) {
    const std::size_t size = (bytes + kPiece - 1) / kPiece * kPiece;
    {
      const std::lock_guard lock(mutex_);
      const auto found = free_.lower_bound(size);
      if (found != free_.end() && found->first <= 2 * size) {
        DeviceArray<unsigned char> piece = std::move(found->second);
        free_.erase(found);
        return piece;
      }
    }
    return DeviceArray<unsigned char>(size);
  }
  void give(DeviceArray<unsigned char> piece) {
    const std::lock_guard lock(mutex_);
    const std::size_t size = piece.size();
    free_.emplace(size, std::move(piece));
  }

 private:
  const int device_;
  std::mutex mutex_;
  std::multimap<std::size_t, DeviceArray<unsigned char>> free_;
};

/// An image with the memory that it lies in.
struct Held {
  Held(std::shared_ptr<Store> from, std::size_t bytes) : store(std::move(from)), memory(store->take(bytes)) {}
  ~Held() { store->give(std::move(memory)); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  std::shared_ptr<Store> store;
  DeviceArray<unsigned char> memory;
  DevicePixels pixels;
};

/// What one call at a time uses.
class Worker {
 public:
  explicit Worker(nvjpegHandle_t handle) {
    check_nvjpeg(nvjpegJpegStateCreate(handle, &state_), "nvjpegJpegStateCreate");
  }
  ~Worker() { nvjpegJpegStateDestroy(state_); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  nvjpegJpegState_t state() const { return state_; }
  const Stream& stream() const { return stream_; }

 private:
  Stream stream_;
  nvjpegJpegState_t state_ = nullptr;
};

class NvjpegDecoder final : public DeviceDecoder {
 public:
  explicit NvjpegDecoder(int device) : store_(std::make_shared<Store>(device)) {
    check_nvjpeg(nvjpegCreateEx(NVJPEG_BACKEND_DEFAULT, nullptr, nullptr, kFlags, &handle_), "nvjpegCreateEx");
  }
  ~NvjpegDecoder() override {
    idle_.clear();
    nvjpegDestroy(handle_);
  }
  NvjpegDecoder(const NvjpegDecoder&) = delete;
  NvjpegDecoder& operator=(const NvjpegDecoder&) = delete;

  std::string description() const override {
    int version[3] = {};
    for (const auto part : {MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL}) nvjpegGetProperty(part, &version[part]);
    return fmt::format("nvJPEG {}.{}.{}", version[0], version[1], version[2]);
  }

  std::shared_ptr<const DevicePixels> decode(std::span<const char> file) override {
    check(cudaSetDevice(store_->device()), "cudaSetDevice");
    const auto* bytes = reinterpret_cast<const unsigned char*>(file.data());
    const std::size_t size = file.size();
    if (size < 4 || bytes[size - 2] != 0xff || bytes[size - 1] != 0xd9) return nullptr;
    int components = 0, widths[NVJPEG_MAX_COMPONENT] = {}, heights[NVJPEG_MAX_COMPONENT] = {};
    nvjpegChromaSubsampling_t subsampling = NVJPEG_CSS_UNKNOWN;
    const nvjpegStatus_t header = nvjpegGetImageInfo(handle_, bytes, size, &components, &subsampling, widths, heights);
    if (is_failure(header)) check_nvjpeg(header, "nvjpegGetImageInfo");
    if (header != NVJPEG_STATUS_SUCCESS || components != 3 || subsampling == NVJPEG_CSS_UNKNOWN || widths[0] <= 0 ||
        heights[0] <= 0 || std::int64_t{widths[0]} * heights[0] > kMostPixels)
      return nullptr;

    const std::size_t pitch = std::size_t{3} * static_cast<std::size_t>(widths[0]);
    const auto held = std::make_shared<Held>(store_, pitch * static_cast<std::size_t>(heights[0]));
    held->pixels = {held->memory.data(), heights[0], widths[0]};
    nvjpegImage_t out{};
    out.channel[0] = held->memory.data();
    out.pitch[0] = pitch;
    std::unique_ptr<Worker> worker = take();
    const nvjpegStatus_t status =
        nvjpegDecode(handle_, worker->state(), bytes, size, NVJPEG_OUTPUT_RGBI, &out, worker->stream());
    worker->stream().synchronise();  // also where it gave up: the memory goes to another image
    give(std::move(worker));
    if (is_failure(status)) check_nvjpeg(status, "nvjpegDecode");
    if (status != NVJPEG_STATUS_SUCCESS) return nullptr;
    return {held, &held->pixels};
  }

 private:
  std::unique_ptr<Worker> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Worker> worker = std::move(idle_.back());
        idle_.pop_back();
        return worker;
      }
    }
    return std::make_unique<Worker>(handle_);
  }
  void give(std::unique_ptr<Worker> worker) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(worker));
  }

  std::shared_ptr<Store> store_;
  nvjpegHandle_t handle_ = nullptr;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> idle_;
};

}  // namespace

bool has_nvjpeg() { return true; }
std::shared_ptr<DeviceDecoder> nvjpeg_decoder(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  return std::make_shared<NvjpegDecoder>(device);
}

}  // namespace lockstep::cuda
