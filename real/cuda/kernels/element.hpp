// The types of activations and of copies of weights on the device.
#pragma once

#include <cstddef>

namespace lockstep::cuda {

/// Arithmetic is fp32 whatever the element; it is rounded to nearest even when stored, and a value beyond the range
/// becomes infinite.
enum class Element { F32, F16, Bf16 };

constexpr std::size_t element_bytes(Element element) { return element == Element::F32 ? 4 : 2; }

}  // namespace lockstep::cuda
