// The runtime's calls for devices and errors.
#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>

#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

namespace {

std::atomic<int> devices = 4;
thread_local int device_of_thread = 0;

}  // namespace

void emulator::set_devices(int count) { devices = count; }
int emulator::current_device() { return device_of_thread; }

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) { return *count = devices, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = device_of_thread, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= devices) return cudaErrorInvalidDevice;
  return device_of_thread = device, cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute != cudaDevAttrComputeCapabilityMajor) return cudaErrorNotSupported;
  return *value = 9, cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device < 0 || device >= devices) return cudaErrorInvalidDevice;
  *p = {};
  std::strcpy(p->name, "emulated");
  p->major = 9;
  p->totalGlobalMem = std::size_t{1} << 30;
  p->uuid.bytes[0] = static_cast<char>(device);
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }

cudaError_t cudaDeviceSynchronize() {
  if (const cudaError_t e = emulator::refused_in_capture(); e != cudaSuccess) return e;
  emulator::drain_device(device_of_thread);
  return emulator::fault(device_of_thread);
}

// Calls return their own errors, and a fault stays until a test takes it: there is no last error beside these.
cudaError_t cudaGetLastError() { return emulator::fault(device_of_thread); }
const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorCapturedEvent: return "cudaErrorCapturedEvent";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureMerge: return "cudaErrorStreamCaptureMerge";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation: return "cudaErrorStreamCaptureIsolation";
    case cudaErrorStreamCaptureImplicit: return "cudaErrorStreamCaptureImplicit";
    default: return "another CUDA error";
  }
}
const char* cudaGetErrorString(cudaError_t e) {
  if (e != cudaErrorLaunchFailure) return "emulated";
  thread_local std::string text;
  text = emulator::fault_text(device_of_thread);
  return text.c_str();
}

}  // extern "C"
