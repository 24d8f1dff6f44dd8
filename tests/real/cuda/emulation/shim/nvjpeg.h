// The part of nvJPEG's interface that real/cuda/jpeg uses, for toolkits without the library. Names, values and order of members are those of the library;
// the real header is compiled against by tests/real/cuda/cuda12_test.py.
#pragma once

#include <cuda_runtime_api.h>
#include <library_types.h>

#define NVJPEG_MAX_COMPONENT 4
#define NVJPEG_FLAGS_DEFAULT 0
#define NVJPEG_FLAGS_BITSTREAM_STRICT 4
#define NVJPEG_FLAGS_UPSAMPLING_WITH_INTERPOLATION 32

extern "C" {

enum nvjpegStatus_t {
  NVJPEG_STATUS_SUCCESS = 0,
  NVJPEG_STATUS_NOT_INITIALIZED = 1,
  NVJPEG_STATUS_INVALID_PARAMETER = 2,
  NVJPEG_STATUS_BAD_JPEG = 3,
  NVJPEG_STATUS_JPEG_NOT_SUPPORTED = 4,
  NVJPEG_STATUS_ALLOCATOR_FAILURE = 5,
  NVJPEG_STATUS_EXECUTION_FAILED = 6,
  NVJPEG_STATUS_ARCH_MISMATCH = 7
};
enum nvjpegBackend_t { NVJPEG_BACKEND_DEFAULT = 0 };
enum nvjpegOutputFormat_t { NVJPEG_OUTPUT_RGBI = 5 };
enum nvjpegChromaSubsampling_t { NVJPEG_CSS_444 = 0, NVJPEG_CSS_420 = 2, NVJPEG_CSS_GRAY = 6, NVJPEG_CSS_UNKNOWN = -1 };

struct nvjpegImage_t {
  unsigned char* channel[NVJPEG_MAX_COMPONENT];
  size_t pitch[NVJPEG_MAX_COMPONENT];
};
typedef struct nvjpegHandle* nvjpegHandle_t;
typedef struct nvjpegJpegState* nvjpegJpegState_t;
struct nvjpegDevAllocator_t;
struct nvjpegPinnedAllocator_t;

nvjpegStatus_t nvjpegGetProperty(libraryPropertyType type, int* value);
nvjpegStatus_t nvjpegCreateEx(nvjpegBackend_t backend, nvjpegDevAllocator_t* device, nvjpegPinnedAllocator_t* pinned,
                              unsigned flags, nvjpegHandle_t* handle);
nvjpegStatus_t nvjpegDestroy(nvjpegHandle_t handle);
nvjpegStatus_t nvjpegJpegStateCreate(nvjpegHandle_t handle, nvjpegJpegState_t* state);
nvjpegStatus_t nvjpegJpegStateDestroy(nvjpegJpegState_t state);
nvjpegStatus_t nvjpegGetImageInfo(nvjpegHandle_t handle, const unsigned char* data, size_t length, int* components,
                                  nvjpegChromaSubsampling_t* subsampling, int* widths, int* heights);
nvjpegStatus_t nvjpegDecode(nvjpegHandle_t handle, nvjpegJpegState_t state, const unsigned char* data, size_t length,
                            nvjpegOutputFormat_t format, nvjpegImage_t* out, cudaStream_t stream);

}  // extern "C"
