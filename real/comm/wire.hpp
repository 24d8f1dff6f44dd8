// Gradients in messages: fp32 in memory and in sums, fp32 or 16 bits on the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/spec/run_spec.hpp"

namespace lockstep {

enum class WireType { Fp32, Fp16, Bf16 };

/// Of a bucket whose elements take `element_bytes` in messages (core/plan/buckets.hpp) in a run whose wire precision is `precision`.
WireType wire_type(Precision precision, int element_bytes);
std::size_t wire_bytes(WireType type);

/// Conversions round to nearest, ties to even; infinities and NaN stay what they are; fp16 keeps subnormals and overflows to infinity.
std::uint16_t to_bf16(float value);
float from_bf16(std::uint16_t bits);
std::uint16_t to_fp16(float value);
float from_fp16(std::uint16_t bits);

/// `message` has wire_bytes() x values.size() bytes.
void to_wire(WireType type, std::span<const float> values, std::byte* message);
void from_wire(WireType type, const std::byte* message, std::span<float> values);
/// values += message, in fp32.
void add_from_wire(WireType type, const std::byte* message, std::span<float> values);
/// Values as they would arrive.
void round_to_wire(WireType type, std::span<float> values);

}  // namespace lockstep
