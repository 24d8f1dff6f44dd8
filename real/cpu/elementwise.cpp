#include "real/cpu/elementwise.hpp"

#include <bit>
#include <cstdint>

#include "core/base/error.hpp"

namespace lockstep::cpu {

namespace {

struct Bf16 {
  std::uint16_t bits;
  operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  static Bf16 of(float v) {
    const auto b = std::bit_cast<std::uint32_t>(v);
    return {static_cast<std::uint16_t>((b + 0x7fffu + ((b >> 16) & 1u)) >>
                                       16)};  // no NaN can be lost: its top mantissa bit is set
  }
};

template <class T>
T rounded(float v) {
  if constexpr (std::is_same_v<T, float>)
    return v;
  else
    return T::of(v);
}

template <class T>
void add_relu(T* y, const T* z, std::int64_t n, [[maybe_unused]] int threads) {
#pragma omp parallel for simd schedule(static) num_threads(threads)
  for (std::int64_t i = 0; i < n; ++i) {
    const float v = static_cast<float>(y[i]) + static_cast<float>(z[i]);
    y[i] = rounded<T>(v < 0 ? 0.0f : v);  // a NaN stays one
  }
}

template <class T>
void mask_by_sign(T* d, const T* y, std::int64_t n, [[maybe_unused]] int threads) {
#pragma omp parallel for simd schedule(static) num_threads(threads)
  for (std::int64_t i = 0; i < n; ++i) d[i] = static_cast<float>(y[i]) > 0 ? d[i] : T{};
}

template <class F32, class B16>
void by_type(const dnnl::memory& a, const dnnl::memory& b, F32 f32, B16 b16) {
  const dnnl::memory::desc desc = a.get_desc();
  LOCKSTEP_EXPECTS(desc == b.get_desc());
  const auto bytes = static_cast<std::int64_t>(desc.get_size());
  if (desc.data_type() == dnnl::memory::data_type::f32) {
    f32(static_cast<float*>(a.get_data_handle()), static_cast<const float*>(b.get_data_handle()), bytes / 4);
  } else {
    b16(static_cast<Bf16*>(a.get_data_handle()), static_cast<const Bf16*>(b.get_data_handle()), bytes / 2);
  }
}

}  // namespace

void add_relu(const dnnl::memory& y, const dnnl::memory& z, int threads) {
  const auto loop = [&](auto* a, const auto* b, std::int64_t n) { add_relu(a, b, n, threads); };
  by_type(y, z, loop, loop);
}

void mask_by_sign(const dnnl::memory& d, const dnnl::memory& y, int threads) {
  const auto loop = [&](auto* a, const auto* b, std::int64_t n) { mask_by_sign(a, b, n, threads); };
  by_type(d, y, loop, loop);
}

}  // namespace lockstep::cpu
