// nvJPEG on libjpeg: the functions that the decoder calls. A state serves one call at a time and one device, as the library's does; what a file lacks is
// BAD_JPEG, as under NVJPEG_FLAGS_BITSTREAM_STRICT.
#include <nvjpeg.h>

#include <atomic>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <jpeglib.h>

#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

struct nvjpegHandle {
  int device;
};
struct nvjpegJpegState {
  int device;
  std::atomic<bool> busy{false};
};

namespace {

struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf leave;
};

/// Leaves through longjmp, past frames without destructors.
void give_up(j_common_ptr info) { std::longjmp(reinterpret_cast<Errors*>(info->err)->leave, 1); }
void warn(j_common_ptr info, int level) {
  if (level < 0) give_up(info);
}

/// Header, and the pixels if `pixels` is given, which is made as large as it must be. False: damaged.
bool read(const unsigned char* data, std::size_t length, jpeg_decompress_struct& d,
          std::vector<unsigned char>* pixels) {
  Errors errors{};
  d.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = give_up;
  errors.manager.emit_message = warn;
  if (setjmp(errors.leave) != 0) {
    jpeg_destroy_decompress(&d);
    return false;
  }
  jpeg_create_decompress(&d);
  jpeg_mem_src(&d, data, length);
  jpeg_read_header(&d, TRUE);
  if (pixels != nullptr) {
    d.out_color_space = JCS_RGB;
    jpeg_start_decompress(&d);
    pixels->resize(std::size_t{3} * d.output_width * d.output_height);
    while (d.output_scanline < d.output_height) {
      JSAMPROW row = pixels->data() + std::size_t{3} * d.output_width * d.output_scanline;
      jpeg_read_scanlines(&d, &row, 1);
    }
    jpeg_finish_decompress(&d);
  }
  jpeg_destroy_decompress(&d);
  return true;
}

}  // namespace

extern "C" {

nvjpegStatus_t nvjpegGetProperty(libraryPropertyType, int* value) { return *value = 0, NVJPEG_STATUS_SUCCESS; }
nvjpegStatus_t nvjpegCreateEx(nvjpegBackend_t, nvjpegDevAllocator_t*, nvjpegPinnedAllocator_t*, unsigned,
                              nvjpegHandle_t* handle) {
  return *handle = new nvjpegHandle{emulator::current_device()}, NVJPEG_STATUS_SUCCESS;
}
nvjpegStatus_t nvjpegDestroy(nvjpegHandle_t handle) { return delete handle, NVJPEG_STATUS_SUCCESS; }
nvjpegStatus_t nvjpegJpegStateCreate(nvjpegHandle_t handle, nvjpegJpegState_t* state) {
  *state = new nvjpegJpegState;
  (*state)->device = handle->device;
  return NVJPEG_STATUS_SUCCESS;
}
nvjpegStatus_t nvjpegJpegStateDestroy(nvjpegJpegState_t state) { return delete state, NVJPEG_STATUS_SUCCESS; }

nvjpegStatus_t nvjpegGetImageInfo(nvjpegHandle_t, const unsigned char* data, std::size_t length, int* components,
                                  nvjpegChromaSubsampling_t* subsampling, int* widths, int* heights) {
  jpeg_decompress_struct d{};
  if (!read(data, length, d, nullptr)) return NVJPEG_STATUS_BAD_JPEG;
  *components = d.num_components;
  *subsampling = d.num_components == 1 ? NVJPEG_CSS_GRAY : d.num_components == 3 ? NVJPEG_CSS_420 : NVJPEG_CSS_UNKNOWN;
  for (int c = 0; c < NVJPEG_MAX_COMPONENT; ++c) {
    widths[c] = c < d.num_components ? static_cast<int>(d.image_width) : 0;
    heights[c] = c < d.num_components ? static_cast<int>(d.image_height) : 0;
  }
  return NVJPEG_STATUS_SUCCESS;
}

nvjpegStatus_t nvjpegDecode(nvjpegHandle_t handle, nvjpegJpegState_t state, const unsigned char* data,
                            std::size_t length, nvjpegOutputFormat_t format, nvjpegImage_t* out, cudaStream_t stream) {
  if (format != NVJPEG_OUTPUT_RGBI || emulator::current_device() != handle->device ||
      emulator::stream_of(stream)->device != handle->device || state->busy.exchange(true))
    return NVJPEG_STATUS_INVALID_PARAMETER;
  jpeg_decompress_struct d{};
  const auto pixels = std::make_shared<std::vector<unsigned char>>();
  const bool good = read(data, length, d, pixels.get());
  state->busy = false;
  if (!good) return NVJPEG_STATUS_BAD_JPEG;
  const std::size_t row = std::size_t{3} * d.image_width, pitch = out->pitch[0];
  unsigned char* to = out->channel[0];
  if (pitch < row || !emulator::in_device_memory(to, pitch * (d.image_height - 1) + row))
    return NVJPEG_STATUS_INVALID_PARAMETER;
  const cudaError_t queued = emulator::put(stream, [=, rows = d.image_height] {
    for (std::size_t y = 0; y < rows; ++y) std::memcpy(to + y * pitch, pixels->data() + y * row, row);
  });
  return queued == cudaSuccess ? NVJPEG_STATUS_SUCCESS : NVJPEG_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
