// cuDNN: the functions that a network calls, by their definitions, in order of the handle's stream. Stricter than the
// library where a mistake would hide: what a call asks for is checked when it is called, convolutions overwrite all the
// workspace they asked for, before and after they write the result, and every direction asks for another size.
#include <cudnn.h>

#include <cstring>

#include "tests/real/cuda/emulation/convolution.hpp"
#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

using emulator::Convolution;
using emulator::size;

struct cudnnContext {
  int device;
  cudaStream_t stream;
};

namespace {

constexpr int kAlgorithm = 1;  // the one there is, in every direction
enum Way { kForward, kData, kWeights };

std::size_t workspace_of(const Convolution& conv, Way way) {
  constexpr std::size_t sizes[] = {100'000, 300'000, 200'000};
  return sizes[way] + std::size_t(conv.w.k) * std::size_t(conv.w.c);
}

bool present(cudnnDataType_t type, const void* p, std::size_t values) {
  return emulator::in_device_memory(p, values * emulator::bytes_of(emulator::type_of(type)));
}

/// What all three directions share: arguments are checked and copied now, `sums(left, right, out)` is called in stream
/// order for out = alpha sums + beta out.
struct Call {
  cudnnHandle_t handle;
  Convolution conv;
  Way way;
  int algorithm;
  void* workspace;
  std::size_t bytes;
  const void *left, *right;
  std::size_t left_size, right_size;
  void* out;
  std::size_t out_size;
  const void *alpha, *beta;

  template <class Sums>
  cudnnStatus_t queue(Sums sums) const {
    const cudnnDataType_t type = conv.x.type;
    const bool right_call = conv.fits() && algorithm == kAlgorithm && bytes >= workspace_of(conv, way) &&
                            emulator::in_device_memory(workspace, bytes) && present(type, left, left_size) &&
                            present(type, right, right_size) && present(type, out, out_size) &&
                            handle->device == emulator::current_device();
    if (!right_call) return CUDNN_STATUS_BAD_PARAM;
    const float factor = *static_cast<const float*>(alpha), kept = *static_cast<const float*>(beta);
    const auto work = [c = *this, element = emulator::type_of(type), factor, kept, sums] {
      std::memset(c.workspace, 0xff, c.bytes);
      std::vector<float> sum(c.out_size);
      sums(c.conv, emulator::unpacked(element, c.left, c.left_size), emulator::unpacked(element, c.right, c.right_size),
           sum);
      emulator::deliver(element, sum, factor, kept, c.out);
      std::memset(c.workspace, 0xff, c.bytes);
    };
    return emulator::put(handle->stream, work) == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
  }
};

/// The one there is, after one that does not fit, as the library lists them.
template <class Perf>
cudnnStatus_t one_algorithm(int* count, Perf* found, const Convolution& conv, Way way, float time) {
  if (!conv.fits()) return CUDNN_STATUS_BAD_PARAM;
  *count = 2;
  found[0] = {};
  found[0].status = CUDNN_STATUS_NOT_SUPPORTED;
  found[1] = {};
  found[1].algo = static_cast<decltype(found[1].algo)>(kAlgorithm);
  found[1].status = CUDNN_STATUS_SUCCESS;
  found[1].determinism = CUDNN_DETERMINISTIC;
  found[1].mathType = conv.how.math;
  found[1].memory = workspace_of(conv, way);
  found[1].time = time;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t workspace_size(const Convolution& conv, Way way, int algorithm, std::size_t* bytes) {
  *bytes = workspace_of(conv, way);
  return conv.fits() && algorithm == kAlgorithm ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

using Values = std::vector<float>;
using Handle = cudnnHandle_t;
using Tensor = cudnnTensorDescriptor_t;
using Filter = cudnnFilterDescriptor_t;
using How = cudnnConvolutionDescriptor_t;
using Bytes = std::size_t;

}  // namespace

extern "C" {

Bytes cudnnGetVersion() { return 90000; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "emulated status"; }
cudnnStatus_t cudnnCreate(Handle* h) {
  return *h = new cudnnContext{emulator::current_device(), nullptr}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(Handle h) { return delete h, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetStream(Handle h, cudaStream_t stream) {
  if (emulator::stream_of(stream)->device != h->device) return CUDNN_STATUS_BAD_PARAM;
  return h->stream = stream, CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(Tensor* d) { return *d = new cudnnTensorStruct{}, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroyTensorDescriptor(Tensor d) { return delete d, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetTensor4dDescriptor(Tensor d, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c,
                                         int h, int w) {
  *d = {type, n, c, h, w};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnCreateFilterDescriptor(Filter* d) { return *d = new cudnnFilterStruct{}, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroyFilterDescriptor(Filter d) { return delete d, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetFilter4dDescriptor(Filter d, cudnnDataType_t type, cudnnTensorFormat_t format, int k, int c,
                                         int r, int s) {
  *d = {type, k, c, r, s};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(How* d) {
  return *d = new cudnnConvolutionStruct{}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(How d) { return delete d, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetConvolution2dDescriptor(How d, int pad_h, int pad_w, int u, int v, int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode, cudnnDataType_t compute) {
  d->pad = pad_h;
  d->stride = u;
  const bool right = pad_h == pad_w && u == v && dilation_h == 1 && dilation_w == 1 &&
                     mode == CUDNN_CROSS_CORRELATION && compute == CUDNN_DATA_FLOAT;
  return right ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(How d, int groups) { return d->groups = groups, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetConvolutionMathType(How d, cudnnMathType_t math) { return d->math = math, CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(Handle, const Tensor x, const Filter w, const How c,
                                                     const Tensor y, const int, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* found) {
  return one_algorithm(count, found, {*x, *y, *w, *c}, kForward, -1);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(Handle, const Filter w, const Tensor y, const How c,
                                                          const Tensor x, const int, int* count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t* found) {
  return one_algorithm(count, found, {*x, *y, *w, *c}, kData, -1);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(Handle, const Tensor x, const Tensor y, const How c,
                                                            const Filter w, const int, int* count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t* found) {
  return one_algorithm(count, found, {*x, *y, *w, *c}, kWeights, -1);
}
cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(Handle, const Tensor x, const Filter w, const How c,
                                                      const Tensor y, cudnnConvolutionFwdAlgo_t a, Bytes* bytes) {
  return workspace_size({*x, *y, *w, *c}, kForward, a, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(Handle, const Filter w, const Tensor y, const How c,
                                                           const Tensor x, cudnnConvolutionBwdDataAlgo_t a,
                                                           Bytes* bytes) {
  return workspace_size({*x, *y, *w, *c}, kData, a, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle, const Tensor x, const Tensor y, const How c,
                                                             const Filter w, cudnnConvolutionBwdFilterAlgo_t a,
                                                             Bytes* bytes) {
  return workspace_size({*x, *y, *w, *c}, kWeights, a, bytes);
}

cudnnStatus_t cudnnConvolutionForward(Handle h, const void* alpha, const Tensor xd, const void* x, const Filter wd,
                                      const void* w, const How c, cudnnConvolutionFwdAlgo_t algorithm, void* workspace,
                                      Bytes bytes, const void* beta, const Tensor yd, void* y) {
  const Call call{h, {*xd, *yd, *wd, *c}, kForward,  algorithm, workspace, bytes, x,
                  w, size(*xd),           size(*wd), y,         size(*yd), alpha, beta};
  return call.queue([](const Convolution& conv, const Values& xs, const Values& ws, Values& sum) {
    conv.products([&](std::size_t i, std::size_t k, std::size_t o) { sum[o] += xs[i] * ws[k]; });
  });
}
cudnnStatus_t cudnnConvolutionBackwardData(Handle h, const void* alpha, const Filter wd, const void* w, const Tensor yd,
                                           const void* dy, const How c, cudnnConvolutionBwdDataAlgo_t algorithm,
                                           void* workspace, Bytes bytes, const void* beta, const Tensor xd, void* dx) {
  const Call call{h, {*xd, *yd, *wd, *c}, kData,     algorithm, workspace, bytes, dy,
                  w, size(*yd),           size(*wd), dx,        size(*xd), alpha, beta};
  return call.queue([](const Convolution& conv, const Values& ys, const Values& ws, Values& sum) {
    conv.products([&](std::size_t i, std::size_t k, std::size_t o) { sum[i] += ys[o] * ws[k]; });
  });
}
cudnnStatus_t cudnnConvolutionBackwardFilter(Handle h, const void* alpha, const Tensor xd, const void* x,
                                             const Tensor yd, const void* dy, const How c,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm, void* workspace, Bytes bytes,
                                             const void* beta, const Filter wd, void* dw) {
  const Call call{h,  {*xd, *yd, *wd, *c}, kWeights,  algorithm, workspace, bytes, x,
                  dy, size(*xd),           size(*yd), dw,        size(*wd), alpha, beta};
  return call.queue([](const Convolution& conv, const Values& xs, const Values& ys, Values& sum) {
    conv.products([&](std::size_t i, std::size_t k, std::size_t o) { sum[k] += xs[i] * ys[o]; });
  });
}

// Measuring runs the convolution, as the library does: outputs are overwritten.
cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(Handle h, const Tensor xd, const void* x, const Filter wd,
                                                     const void* w, const How c, const Tensor yd, void* y, const int,
                                                     int* count, cudnnConvolutionFwdAlgoPerf_t* found, void* workspace,
                                                     Bytes bytes) {
  const float one = 1, zero = 0;
  one_algorithm(count, found, {*xd, *yd, *wd, *c}, kForward, 0.25f);
  return cudnnConvolutionForward(h, &one, xd, x, wd, w, c, found[1].algo, workspace, bytes, &zero, yd, y);
}
cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(Handle h, const Filter wd, const void* w, const Tensor yd,
                                                          const void* dy, const How c, const Tensor xd, void* dx,
                                                          const int, int* count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t* found, void* workspace,
                                                          Bytes bytes) {
  const float one = 1, zero = 0;
  one_algorithm(count, found, {*xd, *yd, *wd, *c}, kData, 0.25f);
  return cudnnConvolutionBackwardData(h, &one, wd, w, yd, dy, c, found[1].algo, workspace, bytes, &zero, xd, dx);
}
cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(Handle h, const Tensor xd, const void* x, const Tensor yd,
                                                            const void* dy, const How c, const Filter wd, void* dw,
                                                            const int, int* count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t* found, void* workspace,
                                                            Bytes bytes) {
  const float one = 1, zero = 0;
  one_algorithm(count, found, {*xd, *yd, *wd, *c}, kWeights, 0.25f);
  return cudnnConvolutionBackwardFilter(h, &one, xd, x, yd, dy, c, found[1].algo, workspace, bytes, &zero, wd, dw);
}

}  // extern "C"
