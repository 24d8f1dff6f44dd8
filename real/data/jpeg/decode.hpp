// JPEG to pixels.
#pragma once

#include <span>
#include <string>

#include "real/data/dataset.hpp"

namespace lockstep {

/// Throws ConfigError if the program was built without libjpeg.
void require_jpeg();

/// Always three channels: grey is repeated, CMYK and YCCK are converted (inverted as Adobe writes them if the file
/// names Adobe). EXIF orientation is not looked at. `wanted` empty: the whole image. Else only the wanted part with the
/// pixels that resample() reaches is kept, each as a whole decode would give it, and the image is shrunk by 1/2, 1/4 or
/// 1/8 while decoding as long as the part keeps twice the pixels wanted of it in both directions; `out.view` says how.
/// Rows outside the part are still checked for damage, so whether an image is broken does not depend on the part.
/// Throws BrokenImage, with `name` and libjpeg's own words, for errors and for warnings that speak of damaged or
/// missing pixels; odd bytes between segments and odd application markers are let pass (many cameras and editors write
/// them). More than 2^28 pixels are refused as damage. Safe in any thread.
void decode_jpeg(std::span<const char> bytes, const WantedOf& wanted, const std::string& name, Image& out);

}  // namespace lockstep
