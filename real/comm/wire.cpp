#include "real/comm/wire.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "real/comm/wire_kernels.hpp"

namespace lockstep {

namespace {

template <auto Encode>
void encode(const float* values, std::size_t n, std::byte* message) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t bits = Encode(values[i]);
    std::memcpy(message + 2 * i, &bits, sizeof bits);
  }
}

template <auto Decode, bool kAdd>
void decode(const std::byte* message, std::size_t n, float* values) {
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, message + 2 * i, sizeof bits);
    values[i] = kAdd ? values[i] + Decode(bits) : Decode(bits);
  }
}

void copy_out(const float* values, std::size_t n, std::byte* message) {
  if (n > 0) std::memcpy(message, values, n * sizeof(float));
}

void copy_in(const std::byte* message, std::size_t n, float* values) {
  if (n > 0) std::memcpy(values, message, n * sizeof(float));
}

void add(const std::byte* message, std::size_t n, float* values) {
  for (std::size_t i = 0; i < n; ++i) {
    float arrived;
    std::memcpy(&arrived, message + sizeof arrived * i, sizeof arrived);
    values[i] += arrived;
  }
}

const WireKernels& kernels(WireType type) {
  static const WireKernelSet chosen = wire_kernels_of_this_processor().value_or(portable_wire_kernels());
  return chosen[static_cast<std::size_t>(type)];
}

}  // namespace

WireKernelSet portable_wire_kernels() {
  return {WireKernels{copy_out, copy_in, add},
          WireKernels{encode<to_fp16>, decode<from_fp16, false>, decode<from_fp16, true>},
          WireKernels{encode<to_bf16>, decode<from_bf16, false>, decode<from_bf16, true>}};
}

WireType wire_type(Precision precision, int element_bytes) {
  if (element_bytes == 4) return WireType::Fp32;
  return precision == Precision::Bf16 ? WireType::Bf16 : WireType::Fp16;
}

std::size_t wire_bytes(WireType type) { return type == WireType::Fp32 ? 4 : 2; }

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // stays a NaN
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::uint16_t to_fp16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)  // a quiet NaN with the leading bits of its payload, as processors convert it
    return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65,536 and more
  if (magnitude < 0x38800000u) {                                                    // below 2^-14
    // Adding 0.5 leaves 2^-24, the unit of subnormal numbers, as the last bit; the addition itself rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  magnitude += 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u) >> 13));
}

float from_fp16(std::uint16_t bits) {
  constexpr std::uint32_t kExponent = 0x7c00u << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  std::uint32_t magnitude = (bits & 0x7fffu) << 13;
  const std::uint32_t exponent = magnitude & kExponent;
  if (magnitude > kExponent) return std::bit_cast<float>(sign | 0x7fc00000u | magnitude);  // NaN, made quiet
  magnitude += 0x38000000u;                             // the bias of 127 for that of 15
  if (exponent == kExponent) magnitude += 0x38000000u;  // infinity
  if (exponent == 0)                                    // subnormal
    magnitude =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude + 0x00800000u) - std::bit_cast<float>(0x38800000u));
  return std::bit_cast<float>(sign | magnitude);
}

void to_wire(WireType type, std::span<const float> values, std::byte* message) {
  kernels(type).encode(values.data(), values.size(), message);
}

void from_wire(WireType type, const std::byte* message, std::span<float> values) {
  kernels(type).decode(message, values.size(), values.data());
}

void add_from_wire(WireType type, const std::byte* message, std::span<float> values) {
  kernels(type).add(message, values.size(), values.data());
}

void round_to_wire(WireType type, std::span<float> values) {
  if (type == WireType::Fp32) return;
  std::byte message[2048];
  for (std::size_t at = 0; at < values.size(); at += sizeof message / 2) {
    const std::span<float> some = values.subspan(at, std::min(sizeof message / 2, values.size() - at));
    to_wire(type, some, message);
    from_wire(type, message, some);
  }
}

}  // namespace lockstep
