// The loops behind wire.hpp, once in portable C++ and once in a processor's vector instructions. Equal inputs give equal bits,
// NaN included, so ranks on different processors agree.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

namespace lockstep {

/// For one wire type. Messages need no alignment; n may be 0.
struct WireKernels {
  void (*encode)(const float* values, std::size_t n, std::byte* message);
  void (*decode)(const std::byte* message, std::size_t n, float* values);
  void (*add)(const std::byte* message, std::size_t n, float* values);  ///< values += message
};

/// By WireType.
using WireKernelSet = std::array<WireKernels, 3>;

WireKernelSet portable_wire_kernels();

/// None where the processor has no instructions that we know (x86-64 with AVX2 and F16C).
std::optional<WireKernelSet> wire_kernels_of_this_processor();

}  // namespace lockstep
