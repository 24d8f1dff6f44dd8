#include "core/spec/gpu_spec.hpp"

#include <algorithm>

namespace lockstep {

namespace {
constexpr int kAmpere = 80;  // TF32 and BF16 on tensor cores (NVIDIA A100 whitepaper)
}

bool is_half(Precision precision) { return precision == Precision::Fp16 || precision == Precision::Bf16; }

int element_bytes(Precision precision) { return is_half(precision) ? 2 : 4; }

Precision computed_as(const GpuSpec& gpu, Precision precision) {
  const bool processor = gpu.compute_capability == 0;
  if (precision == Precision::Tf32 && gpu.compute_capability < kAmpere) return Precision::Fp32;
  if (precision == Precision::Bf16 && gpu.compute_capability < kAmpere && !processor) return Precision::Fp32;
  return precision;
}

FlopRate peak_of(const GpuSpec& gpu, Precision precision) {
  switch (computed_as(gpu, precision)) {
    case Precision::Fp32: return gpu.fp32_peak.value;
    case Precision::Tf32: return std::max(gpu.fp32_peak.value, gpu.half_peak.value * 0.5);
    case Precision::Fp16:
    case Precision::Bf16: break;
  }
  return gpu.half_peak.value;
}

}  // namespace lockstep
