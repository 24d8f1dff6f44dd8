// JPEG files that a device decodes into its own memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lockstep {

/// A decoded image in a device's memory, [h, w, 3] bytes. The memory is used again once nobody holds it.
struct DevicePixels {
  const unsigned char* data = nullptr;
  int h = 0, w = 0;
};

class DeviceDecoder {
 public:
  virtual ~DeviceDecoder() = default;
  /// "nvJPEG 13.0.0".
  virtual std::string description() const = 0;
  /// All of the image in `file`, decoded when this returns; any thread may call it at any time. Null: not by this decoder, be it damaged or of a kind that
  /// it leaves to the host, which must decode it and say what is wrong with it, if anything is. Throws BackendError when the machine fails.
  virtual std::shared_ptr<const DevicePixels> decode(std::span<const char> file) = 0;
};

}  // namespace lockstep
