#include <algorithm>

#include "real/cuda/device/cuda_device.hpp"
#include "real/cuda/network/handles.hpp"

#include "real/cuda/base/stream.hpp"

namespace lockstep {

namespace {

using namespace cuda;

constexpr int kRepeats = 10;
constexpr int kSide = 8192;
constexpr std::size_t kCopied = std::size_t{1} << 30;

template <class Work>
double best_seconds(const Stream& stream, Work&& work) {
  Event begin(true), end(true);
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    begin.record(stream);
    work();
    end.record(stream);
    end.synchronise();
    best = std::min(best, end.since(begin).seconds());
  }
  return best;
}

/// Of an n x n x n product whose operands are of `type` and whose sums are fp32.
double product_rate(const Handles& handles, const Stream& stream, cudaDataType type, cublasMath_t math) {
  const std::size_t bytes = static_cast<std::size_t>(kSide) * kSide * (type == CUDA_R_32F ? 4 : 2);
  DeviceArray<std::byte> a(bytes), b(bytes), c(bytes);
  for (const auto* m : {&a, &b, &c}) check(cudaMemset(m->data(), 0, bytes), "clearing a matrix");
  check(cublasSetMathMode(handles.cublas(), math), "rates", "cublasSetMathMode");
  const float one = 1, zero = 0;
  const double seconds = best_seconds(stream, [&] {
    check(cublasGemmEx(handles.cublas(), CUBLAS_OP_N, CUBLAS_OP_N, kSide, kSide, kSide, &one, a.data(), type, kSide,
                       b.data(), type, kSide, &zero, c.data(), type, kSide, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "rates", "cublasGemmEx");
  });
  return 2.0 * kSide * kSide * kSide / seconds;
}

}  // namespace

DeviceRates cuda_rates() {
  const Stream stream;
  const Handles handles(stream);
  DeviceRates out;
  out.fp32 = FlopRate::per_second(product_rate(handles, stream, CUDA_R_32F, CUBLAS_PEDANTIC_MATH));
  out.half = FlopRate::per_second(product_rate(handles, stream, CUDA_R_16F, CUBLAS_DEFAULT_MATH));
  DeviceArray<std::byte> from(kCopied), to(kCopied);
  const double copy = best_seconds(stream, [&] {
    check(cudaMemcpyAsync(to.data(), from.data(), kCopied, cudaMemcpyDeviceToDevice, stream), "copying");
  });
  out.memory = Bandwidth::bytes_per_second(2 * static_cast<double>(kCopied) / copy);
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  out.capacity = Bytes(static_cast<std::int64_t>(total));
  out.compute_capability = handles.capability();
  return out;
}

}  // namespace lockstep
