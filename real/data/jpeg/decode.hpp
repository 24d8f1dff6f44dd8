// JPEG to pixels.
#pragma once

#include <span>
#include <string>

#include "real/data/dataset.hpp"

namespace lockstep {

/// Throws ConfigError if the program was built without libjpeg.
void require_jpeg();

/// Always three channels: grey is repeated, CMYK and YCCK are converted. Shrinks by 1/2, 1/4 or 1/8 while decoding as long as the shorter side
/// keeps at least 2 x `target` pixels, so that cropping and resampling lose nothing; target 0 keeps the size. `name` goes into BrokenImage, with
/// libjpeg's own words; a warning such as a premature end is an error.
void decode_jpeg(std::span<const char> bytes, int target, const std::string& name, Image& out);

}  // namespace lockstep
