// The two loops that oneDNN 2.6 has no primitive for. Internal to real/cpu.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

namespace lockstep::cpu {

/// y = max(y + z, 0), element by element; equal layouts and types (fp32, or bf16 computed in fp32).
void add_relu(const dnnl::memory& y, const dnnl::memory& z, int threads);
/// Where y is not above 0, d becomes 0. Equal layouts and types.
void mask_by_sign(const dnnl::memory& d, const dnnl::memory& y, int threads);

}  // namespace lockstep::cpu
