// How fast this processor multiplies.
#pragma once

#include <cstdint>

namespace lockstep {

/// Floating-point operations per second of an n x n x n matrix product in fp32 by oneDNN, best of several. Takes about a tenth of a second.
double matrix_product_rate(std::int64_t n, int threads);

}  // namespace lockstep
