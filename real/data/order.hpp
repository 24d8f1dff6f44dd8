// In which order an epoch visits the images.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

/// One global shuffle per epoch, the same on every rank; ranks take consecutive parts of it (Goyal et al. 2017, section
/// 3). A permutation of 0 .. images - 1 by Fisher and Yates, a function of (seed, epoch).
std::vector<std::int32_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t images);

}  // namespace lockstep
