// cuBLAS: the functions that a network calls, by their definitions, in order of the handle's stream.
#include <cublas_v2.h>

#include "tests/real/cuda/emulation/element.hpp"
#include "tests/real/cuda/emulation/machine.hpp"
#include "tests/real/cuda/emulation/stream.hpp"

struct cublasContext {
  int device;
  cudaStream_t stream;
};

namespace {

emulator::Type type_of(cudaDataType t) {
  return t == CUDA_R_16F ? emulator::Type::F16 : t == CUDA_R_16BF ? emulator::Type::Bf16 : emulator::Type::F32;
}

/// An operand in column-major order.
struct Matrix {
  emulator::Type type;
  const void* data;
  int leading;
  bool transposed;

  float at(int row, int column) const {
    if (transposed) std::swap(row, column);
    return emulator::get(type, data, std::size_t(column) * std::size_t(leading) + std::size_t(row));
  }
  /// All of it is in device memory.
  bool present(int rows, int columns) const {
    if (transposed) std::swap(rows, columns);
    if (leading < rows) return false;
    const std::size_t last = std::size_t(columns - 1) * std::size_t(leading) + std::size_t(rows);
    return emulator::in_device_memory(data, last * emulator::bytes_of(type));
  }
};

}  // namespace

extern "C" {

const char* cublasGetStatusString(cublasStatus_t) { return "emulated status"; }
cublasStatus_t cublasCreate_v2(cublasHandle_t* h) {
  return *h = new cublasContext{emulator::current_device(), nullptr}, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t h) { return delete h, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t stream) {
  if (emulator::stream_of(stream)->device != h->device) return CUBLAS_STATUS_INVALID_VALUE;
  return h->stream = stream, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void* workspace, std::size_t bytes) {
  return emulator::in_device_memory(workspace, bytes) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

/// C (m x n, column-major) = alpha op(A) op(B) + beta C.
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k,
                            const void* alpha, const void* a, cudaDataType a_type, int lda, const void* b,
                            cudaDataType b_type, int ldb, const void* beta, void* c, cudaDataType c_type, int ldc,
                            cublasComputeType_t, cublasGemmAlgo_t) {
  const Matrix left{type_of(a_type), a, lda, a_op != CUBLAS_OP_N}, right{type_of(b_type), b, ldb, b_op != CUBLAS_OP_N};
  const Matrix out{type_of(c_type), c, ldc, false};
  const bool fits = left.present(m, k) && right.present(k, n) && out.present(m, n);
  if (a_type != b_type || !fits || h->device != emulator::current_device()) return CUBLAS_STATUS_INVALID_VALUE;
  const float factor = *static_cast<const float*>(alpha), kept = *static_cast<const float*>(beta);
  const auto work = [=] {
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < m; ++i) {
        float sum = 0;
        for (int l = 0; l < k; ++l) sum += left.at(i, l) * right.at(l, j);
        const std::size_t at = std::size_t(j) * std::size_t(ldc) + std::size_t(i);
        emulator::put(out.type, c, at, factor * sum + (kept == 0 ? 0.0f : kept * out.at(i, j)));
      }
    }
  };
  return emulator::put(h->stream, work) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
