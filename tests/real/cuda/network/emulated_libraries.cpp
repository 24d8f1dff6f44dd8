// The CUDA runtime, cuDNN and cuBLAS as plain host code: the functions that a network calls, by their definitions, so
// that the network can be tested where there is no GPU. Kernels run on tests/real/cuda/kernels/emulator. Stricter than
// the libraries where a mistake would hide: fresh memory holds NaN, convolutions overwrite all the workspace they asked
// for, mixed types and wrong sizes are refused.
#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <vector>

struct cudnnTensorStruct {
  cudnnDataType_t type;
  int n, c, h, w;
};
struct cudnnFilterStruct {
  cudnnDataType_t type;
  int k, c, r, s;
};
struct cudnnConvolutionStruct {
  int pad, stride, groups = 1;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

namespace {

constexpr int kAlgorithm = 1;  // the one there is, in every direction
enum Way { kForward, kData, kWeights };
/// Another size in every direction, so that nobody lives on another's wish.
std::size_t workspace_of(const cudnnFilterStruct& w, Way way) {
  constexpr std::size_t sizes[] = {100'000, 300'000, 200'000};
  return sizes[way] + static_cast<std::size_t>(w.k * w.c);
}

/// Device memory, by address.
std::map<const char*, std::size_t>& allocations() {
  static std::map<const char*, std::size_t> all;
  return all;
}
bool allocated(const void* p, std::size_t bytes) {
  const char* at = static_cast<const char*>(p);
  const auto next = allocations().upper_bound(at);
  if (next == allocations().begin()) return false;
  const auto& [begin, size] = *std::prev(next);
  return at + bytes <= begin + size;
}

float get(cudnnDataType_t type, const void* p, std::size_t i) {
  switch (type) {
    case CUDNN_DATA_HALF: return __half2float(static_cast<const __half*>(p)[i]);
    case CUDNN_DATA_BFLOAT16: return __bfloat162float(static_cast<const __nv_bfloat16*>(p)[i]);
    default: return static_cast<const float*>(p)[i];
  }
}
void put(cudnnDataType_t type, void* p, std::size_t i, float v) {
  switch (type) {
    case CUDNN_DATA_HALF: static_cast<__half*>(p)[i] = __float2half_rn(v); return;
    case CUDNN_DATA_BFLOAT16: static_cast<__nv_bfloat16*>(p)[i] = __float2bfloat16_rn(v); return;
    default: static_cast<float*>(p)[i] = v;
  }
}

bool fits(const cudnnTensorStruct& x, const cudnnTensorStruct& y, const cudnnFilterStruct& w,
          const cudnnConvolutionStruct& c) {
  const auto out = [&](int size, int kernel) { return (size + 2 * c.pad - kernel) / c.stride + 1; };
  return x.type == y.type && x.type == w.type && x.n == y.n && x.c == w.c * c.groups && y.c == w.k &&
         w.k % c.groups == 0 && y.h == out(x.h, w.r) && y.w == out(x.w, w.s);
}

/// Calls visit(index of x, index of w, index of y) for every multiplication.
template <class Visit>
void products(const cudnnTensorStruct& x, const cudnnTensorStruct& y, const cudnnFilterStruct& w,
              const cudnnConvolutionStruct& conv, Visit visit) {
  for (int n = 0; n < y.n; ++n) {
    for (int p = 0; p < y.h; ++p) {
      for (int q = 0; q < y.w; ++q) {
        for (int i = 0; i < w.r; ++i) {
          for (int j = 0; j < w.s; ++j) {
            const int row = p * conv.stride - conv.pad + i, column = q * conv.stride - conv.pad + j;
            if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
            for (int k = 0; k < w.k; ++k) {
              const int first = k / (w.k / conv.groups) * w.c;
              for (int c = 0; c < w.c; ++c) {
                visit(((std::size_t(n) * x.h + row) * x.w + column) * x.c + first + c,
                      ((std::size_t(k) * w.r + i) * w.s + j) * w.c + c,
                      ((std::size_t(n) * y.h + p) * y.w + q) * y.c + k);
              }
            }
          }
        }
      }
    }
  }
}

// What every convolution does: unpack two operands, sum in fp32, out = alpha sum + beta out.
std::vector<float> unpacked(cudnnDataType_t type, const void* p, std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = get(type, p, i);
  return out;
}
void deliver(cudnnDataType_t type, const std::vector<float>& sum, float alpha, float beta, void* out) {
  for (std::size_t i = 0; i < sum.size(); ++i)
    put(type, out, i, alpha * sum[i] + (beta == 0 ? 0.0f : beta * get(type, out, i)));
}
std::size_t size(const cudnnTensorStruct& t) { return std::size_t(t.n) * t.c * t.h * t.w; }
std::size_t size(const cudnnFilterStruct& t) { return std::size_t(t.k) * t.c * t.r * t.s; }

/// Nothing that others keep may lie in it: called before and after the result is written. False if it is too small.
bool spoil(void* workspace, std::size_t bytes, const cudnnFilterStruct& w, Way way) {
  if (bytes < workspace_of(w, way) || !allocated(workspace, bytes)) return false;
  std::memset(workspace, 0xff, bytes);
  return true;
}

template <class Perf>
cudnnStatus_t one_algorithm(int* count, Perf* found, cudnnMathType_t math, std::size_t memory, float time) {
  *count = 2;
  found[0] = {};
  found[0].status = CUDNN_STATUS_NOT_SUPPORTED;
  found[1] = {};
  found[1].algo = static_cast<decltype(found[1].algo)>(kAlgorithm);
  found[1].status = CUDNN_STATUS_SUCCESS;
  found[1].determinism = CUDNN_DETERMINISTIC;
  found[1].mathType = math;
  found[1].memory = memory;
  found[1].time = time;
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) { return *value = 9, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::strcpy(p->name, "emulated");
  p->major = 9;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return *free = *total = std::size_t{1} << 30, cudaSuccess;
}
cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  *p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*p, 0xff, bytes);
  allocations()[static_cast<const char*>(*p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  allocations().erase(static_cast<const char*>(p));
  return std::free(p), cudaSuccess;
}
cudaError_t cudaMemset(void* p, int value, std::size_t bytes) { return std::memset(p, value, bytes), cudaSuccess; }
cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t) { return cudaMemset(p, value, bytes); }
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  return std::memmove(to, from, bytes), cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* most) { return *least = *most = 0, cudaSuccess; }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned, int) {
  return *s = reinterpret_cast<cudaStream_t>(std::malloc(1)), cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) { return std::free(s), cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorName(cudaError_t) { return "emulated error"; }
const char* cudaGetErrorString(cudaError_t) { return "emulated error"; }
// Graphs and events are not emulated; who asks gets an error.
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) { return cudaErrorNotSupported; }
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*) { return cudaErrorNotSupported; }
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long) { return cudaErrorNotSupported; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaErrorNotSupported; }
cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaErrorNotSupported; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaErrorNotSupported; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned) { return cudaErrorNotSupported; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaErrorNotSupported; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaErrorNotSupported; }
cudaError_t cudaEventElapsedTime(float*, cudaEvent_t, cudaEvent_t) { return cudaErrorNotSupported; }
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaErrorNotSupported; }

std::size_t cudnnGetVersion() { return 90000; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "emulated status"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t* h) {
  return *h = reinterpret_cast<cudnnHandle_t>(std::malloc(1)), CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t h) { return std::free(h), CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) { return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* d) {
  return *d = new cudnnTensorStruct{}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t d) { return delete d, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t d, cudnnTensorFormat_t format, cudnnDataType_t type,
                                         int n, int c, int h, int w) {
  *d = {type, n, c, h, w};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* d) {
  return *d = new cudnnFilterStruct{}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t d) { return delete d, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t d, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int k, int c, int r, int s) {
  *d = {type, k, c, r, s};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* d) {
  return *d = new cudnnConvolutionStruct{}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t d) {
  return delete d, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t d, int pad_h, int pad_w, int u, int v,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  d->pad = pad_h;
  d->stride = u;
  const bool right = pad_h == pad_w && u == v && dilation_h == 1 && dilation_w == 1 &&
                     mode == CUDNN_CROSS_CORRELATION && compute == CUDNN_DATA_FLOAT;
  return right ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t d, int groups) {
  return d->groups = groups, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t d, cudnnMathType_t math) {
  return d->math = math, CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                     const cudnnFilterDescriptor_t w,
                                                     const cudnnConvolutionDescriptor_t c,
                                                     const cudnnTensorDescriptor_t y, const int, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* found) {
  if (!fits(*x, *y, *w, *c)) return CUDNN_STATUS_BAD_PARAM;
  return one_algorithm(count, found, c->math, workspace_of(*w, kForward), -1);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, const cudnnFilterDescriptor_t w,
                                                          const cudnnTensorDescriptor_t y,
                                                          const cudnnConvolutionDescriptor_t c,
                                                          const cudnnTensorDescriptor_t x, const int, int* count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t* found) {
  if (!fits(*x, *y, *w, *c)) return CUDNN_STATUS_BAD_PARAM;
  return one_algorithm(count, found, c->math, workspace_of(*w, kData), -1);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                            const cudnnTensorDescriptor_t y,
                                                            const cudnnConvolutionDescriptor_t c,
                                                            const cudnnFilterDescriptor_t w, const int, int* count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t* found) {
  if (!fits(*x, *y, *w, *c)) return CUDNN_STATUS_BAD_PARAM;
  return one_algorithm(count, found, c->math, workspace_of(*w, kWeights), -1);
}
cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                      const cudnnFilterDescriptor_t w,
                                                      const cudnnConvolutionDescriptor_t c,
                                                      const cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t a,
                                                      std::size_t* bytes) {
  *bytes = workspace_of(*w, kForward);
  return fits(*x, *y, *w, *c) && a == kAlgorithm ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, const cudnnFilterDescriptor_t w,
                                                           const cudnnTensorDescriptor_t y,
                                                           const cudnnConvolutionDescriptor_t c,
                                                           const cudnnTensorDescriptor_t x,
                                                           cudnnConvolutionBwdDataAlgo_t a, std::size_t* bytes) {
  *bytes = workspace_of(*w, kData);
  return fits(*x, *y, *w, *c) && a == kAlgorithm ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                             const cudnnTensorDescriptor_t y,
                                                             const cudnnConvolutionDescriptor_t c,
                                                             const cudnnFilterDescriptor_t w,
                                                             cudnnConvolutionBwdFilterAlgo_t a, std::size_t* bytes) {
  *bytes = workspace_of(*w, kWeights);
  return fits(*x, *y, *w, *c) && a == kAlgorithm ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t, const void* alpha, const cudnnTensorDescriptor_t xd, const void* x,
                                      const cudnnFilterDescriptor_t wd, const void* w,
                                      const cudnnConvolutionDescriptor_t c, cudnnConvolutionFwdAlgo_t algorithm,
                                      void* workspace, std::size_t bytes, const void* beta,
                                      const cudnnTensorDescriptor_t yd, void* y) {
  if (!fits(*xd, *yd, *wd, *c) || algorithm != kAlgorithm || !spoil(workspace, bytes, *wd, kForward))
    return CUDNN_STATUS_BAD_PARAM;
  const std::vector<float> xs = unpacked(xd->type, x, size(*xd)), ws = unpacked(wd->type, w, size(*wd));
  std::vector<float> sum(size(*yd));
  products(*xd, *yd, *wd, *c, [&](std::size_t i, std::size_t k, std::size_t o) { sum[o] += xs[i] * ws[k]; });
  deliver(yd->type, sum, *static_cast<const float*>(alpha), *static_cast<const float*>(beta), y);
  spoil(workspace, bytes, *wd, kForward);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t, const void* alpha, const cudnnFilterDescriptor_t wd,
                                           const void* w, const cudnnTensorDescriptor_t yd, const void* dy,
                                           const cudnnConvolutionDescriptor_t c,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace, std::size_t bytes,
                                           const void* beta, const cudnnTensorDescriptor_t xd, void* dx) {
  if (!fits(*xd, *yd, *wd, *c) || algorithm != kAlgorithm || !spoil(workspace, bytes, *wd, kData))
    return CUDNN_STATUS_BAD_PARAM;
  const std::vector<float> ys = unpacked(yd->type, dy, size(*yd)), ws = unpacked(wd->type, w, size(*wd));
  std::vector<float> sum(size(*xd));
  products(*xd, *yd, *wd, *c, [&](std::size_t i, std::size_t k, std::size_t o) { sum[i] += ys[o] * ws[k]; });
  deliver(xd->type, sum, *static_cast<const float*>(alpha), *static_cast<const float*>(beta), dx);
  spoil(workspace, bytes, *wd, kData);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t, const void* alpha, const cudnnTensorDescriptor_t xd,
                                             const void* x, const cudnnTensorDescriptor_t yd, const void* dy,
                                             const cudnnConvolutionDescriptor_t c,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm, void* workspace,
                                             std::size_t bytes, const void* beta, const cudnnFilterDescriptor_t wd,
                                             void* dw) {
  if (!fits(*xd, *yd, *wd, *c) || algorithm != kAlgorithm || !spoil(workspace, bytes, *wd, kWeights))
    return CUDNN_STATUS_BAD_PARAM;
  const std::vector<float> xs = unpacked(xd->type, x, size(*xd)), ys = unpacked(yd->type, dy, size(*yd));
  std::vector<float> sum(size(*wd));
  products(*xd, *yd, *wd, *c, [&](std::size_t i, std::size_t k, std::size_t o) { sum[k] += xs[i] * ys[o]; });
  deliver(wd->type, sum, *static_cast<const float*>(alpha), *static_cast<const float*>(beta), dw);
  spoil(workspace, bytes, *wd, kWeights);
  return CUDNN_STATUS_SUCCESS;
}

// Measuring runs the convolution, as the library does: outputs are overwritten.
cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(cudnnHandle_t h, const cudnnTensorDescriptor_t xd, const void* x,
                                                     const cudnnFilterDescriptor_t wd, const void* w,
                                                     const cudnnConvolutionDescriptor_t c,
                                                     const cudnnTensorDescriptor_t yd, void* y, const int, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* found, void* workspace,
                                                     std::size_t bytes) {
  const float one = 1, zero = 0;
  one_algorithm(count, found, c->math, workspace_of(*wd, kForward), 0.25f);
  return cudnnConvolutionForward(h, &one, xd, x, wd, w, c, found[1].algo, workspace, bytes, &zero, yd, y);
}
cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(cudnnHandle_t h, const cudnnFilterDescriptor_t wd,
                                                          const void* w, const cudnnTensorDescriptor_t yd,
                                                          const void* dy, const cudnnConvolutionDescriptor_t c,
                                                          const cudnnTensorDescriptor_t xd, void* dx, const int,
                                                          int* count, cudnnConvolutionBwdDataAlgoPerf_t* found,
                                                          void* workspace, std::size_t bytes) {
  const float one = 1, zero = 0;
  one_algorithm(count, found, c->math, workspace_of(*wd, kData), 0.25f);
  return cudnnConvolutionBackwardData(h, &one, wd, w, yd, dy, c, found[1].algo, workspace, bytes, &zero, xd, dx);
}
cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(cudnnHandle_t h, const cudnnTensorDescriptor_t xd,
                                                            const void* x, const cudnnTensorDescriptor_t yd,
                                                            const void* dy, const cudnnConvolutionDescriptor_t c,
                                                            const cudnnFilterDescriptor_t wd, void* dw, const int,
                                                            int* count, cudnnConvolutionBwdFilterAlgoPerf_t* found,
                                                            void* workspace, std::size_t bytes) {
  const float one = 1, zero = 0;
  one_algorithm(count, found, c->math, workspace_of(*wd, kWeights), 0.25f);
  return cudnnConvolutionBackwardFilter(h, &one, xd, x, yd, dy, c, found[1].algo, workspace, bytes, &zero, wd, dw);
}

const char* cublasGetStatusString(cublasStatus_t) { return "emulated status"; }
cublasStatus_t cublasCreate_v2(cublasHandle_t* h) {
  return *h = reinterpret_cast<cublasHandle_t>(std::malloc(1)), CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t h) { return std::free(h), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetStream_v2(cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void*, std::size_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

/// C (m x n, column-major) = alpha op(A) op(B) + beta C.
cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k,
                            const void* alpha, const void* a, cudaDataType a_type, int lda, const void* b,
                            cudaDataType b_type, int ldb, const void* beta, void* c, cudaDataType c_type, int ldc,
                            cublasComputeType_t, cublasGemmAlgo_t) {
  const auto type = [](cudaDataType t) {
    return t == CUDA_R_16F ? CUDNN_DATA_HALF : t == CUDA_R_16BF ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  };
  const bool sizes = lda >= (a_op == CUBLAS_OP_N ? m : k) && ldb >= (b_op == CUBLAS_OP_N ? k : n) && ldc >= m;
  if (a_type != b_type || !sizes) return CUBLAS_STATUS_INVALID_VALUE;
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < m; ++i) {
      float sum = 0;
      for (int l = 0; l < k; ++l) {
        const auto at_a = a_op == CUBLAS_OP_N ? std::size_t(l) * lda + i : std::size_t(i) * lda + l;
        const auto at_b = b_op == CUBLAS_OP_N ? std::size_t(j) * ldb + l : std::size_t(l) * ldb + j;
        sum += get(type(a_type), a, at_a) * get(type(b_type), b, at_b);
      }
      const std::size_t at = std::size_t(j) * ldc + i;
      const float factor = *static_cast<const float*>(beta);
      put(type(c_type), c, at,
          *static_cast<const float*>(alpha) * sum + (factor == 0 ? 0.0f : factor * get(type(c_type), c, at)));
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
