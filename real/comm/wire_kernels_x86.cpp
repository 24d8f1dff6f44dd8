#include "real/comm/wire_kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#define LOCKSTEP_AVX2 [[gnu::target("avx2,f16c")]]

namespace lockstep {

namespace {

constexpr std::size_t kLanes = 8;

// Functions of types, not lambdas: those would not inherit the target.
struct Fp32 {
  static constexpr std::size_t kBytes = 4;
  LOCKSTEP_AVX2 static __m256 load(const std::byte* m) { return _mm256_loadu_ps(reinterpret_cast<const float*>(m)); }
};

struct Fp16 {
  static constexpr std::size_t kBytes = 2;
  LOCKSTEP_AVX2 static __m256 load(const std::byte* m) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(m)));
  }
  LOCKSTEP_AVX2 static void store(std::byte* m, __m256 v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(m), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
};

struct Bf16 {
  static constexpr std::size_t kBytes = 2;
  LOCKSTEP_AVX2 static __m256 load(const std::byte* m) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(m)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  LOCKSTEP_AVX2 static void store(std::byte* m, __m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(high, high), 0x88);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(m), _mm256_castsi256_si128(packed));
  }
};

// The last elements go through buffers of full length.
template <class Type>
LOCKSTEP_AVX2 void encode(const float* values, std::size_t n, std::byte* message) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Type::store(message + i * Type::kBytes, _mm256_loadu_ps(values + i));
  if (i == n) return;
  float in[kLanes] = {};
  std::byte out[kLanes * Type::kBytes];
  std::memcpy(in, values + i, (n - i) * sizeof(float));
  Type::store(out, _mm256_loadu_ps(in));
  std::memcpy(message + i * Type::kBytes, out, (n - i) * Type::kBytes);
}

template <class Type, bool kAdd>
LOCKSTEP_AVX2 void decode(const std::byte* message, std::size_t n, float* values) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256 arrived = Type::load(message + i * Type::kBytes);
    _mm256_storeu_ps(values + i, kAdd ? _mm256_add_ps(_mm256_loadu_ps(values + i), arrived) : arrived);
  }
  if (i == n) return;
  std::byte in[kLanes * Type::kBytes] = {};
  float out[kLanes];
  std::memcpy(in, message + i * Type::kBytes, (n - i) * Type::kBytes);
  _mm256_storeu_ps(out, Type::load(in));
  for (std::size_t k = 0; k < n - i; ++k) values[i + k] = kAdd ? values[i + k] + out[k] : out[k];
}

template <class Type>
WireKernels kernels() {
  return {encode<Type>, decode<Type, false>, decode<Type, true>};
}

}  // namespace

std::optional<WireKernelSet> wire_kernels_of_this_processor() {
  // Every processor with AVX2 has F16C; Clang 14 cannot ask for the latter.
  if (!__builtin_cpu_supports("avx2")) return std::nullopt;
  const WireKernels copy = portable_wire_kernels()[0];
  return WireKernelSet{WireKernels{copy.encode, copy.decode, decode<Fp32, true>}, kernels<Fp16>(), kernels<Bf16>()};
}

}  // namespace lockstep

#else

namespace lockstep {
std::optional<WireKernelSet> wire_kernels_of_this_processor() { return std::nullopt; }
}  // namespace lockstep

#endif
