#include "real/comm/wire.hpp"

#include <bit>
#include <cstring>

namespace lockstep {

namespace {

template <auto Decode, class Combine>
void each16(const std::byte* message, std::span<float> values, Combine combine) {
  const std::byte* at = message;
  for (float& v : values) {
    std::uint16_t bits;
    std::memcpy(&bits, at, sizeof bits);
    at += sizeof bits;
    combine(v, Decode(bits));
  }
}

template <auto Encode>
void encode16(std::span<const float> values, std::byte* message) {
  for (const float v : values) {
    const std::uint16_t bits = Encode(v);
    std::memcpy(message, &bits, sizeof bits);
    message += sizeof bits;
  }
}

}  // namespace

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
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);   // NaN
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
  std::uint32_t magnitude = (bits & 0x7fffu) << 13;
  const std::uint32_t exponent = magnitude & kExponent;
  magnitude += 0x38000000u;                             // the bias of 127 for that of 15
  if (exponent == kExponent) magnitude += 0x38000000u;  // infinity and NaN
  float value = std::bit_cast<float>(magnitude);
  if (exponent == 0)
    value = std::bit_cast<float>(magnitude + 0x00800000u) - std::bit_cast<float>(0x38800000u);  // subnormal
  return (bits & 0x8000u) != 0 ? -value : value;
}

void to_wire(WireType type, std::span<const float> values, std::byte* message) {
  switch (type) {
    case WireType::Fp32:
      if (!values.empty()) std::memcpy(message, values.data(), values.size_bytes());
      break;
    case WireType::Fp16: encode16<to_fp16>(values, message); break;
    case WireType::Bf16: encode16<to_bf16>(values, message); break;
  }
}

void from_wire(WireType type, const std::byte* message, std::span<float> values) {
  const auto set = [](float& v, float arrived) { v = arrived; };
  switch (type) {
    case WireType::Fp32:
      if (!values.empty()) std::memcpy(values.data(), message, values.size_bytes());
      break;
    case WireType::Fp16: each16<from_fp16>(message, values, set); break;
    case WireType::Bf16: each16<from_bf16>(message, values, set); break;
  }
}

void add_from_wire(WireType type, const std::byte* message, std::span<float> values) {
  const auto add = [](float& v, float arrived) { v += arrived; };
  switch (type) {
    case WireType::Fp32: {
      const std::byte* at = message;
      for (float& v : values) {
        float arrived;
        std::memcpy(&arrived, at, sizeof arrived);
        at += sizeof arrived;
        v += arrived;
      }
      break;
    }
    case WireType::Fp16: each16<from_fp16>(message, values, add); break;
    case WireType::Bf16: each16<from_bf16>(message, values, add); break;
  }
}

void round_to_wire(WireType type, std::span<float> values) {
  if (type == WireType::Fp32) return;
  for (float& v : values) v = type == WireType::Bf16 ? from_bf16(to_bf16(v)) : from_fp16(to_fp16(v));
}

}  // namespace lockstep
