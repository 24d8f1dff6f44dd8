// Colour changes of training images.
#pragma once

#include <cstddef>
#include <span>

#include "core/base/rng.hpp"
#include "real/data/image_table.hpp"

namespace lockstep {

/// How strongly colours are changed; 0 = not at all.
struct ColourNoise {
  /// Brightness, contrast and saturation each times 1 +- up to this, in random order; Torch: 0.4 [memory].
  double jitter = 0;
  /// Sigma of noise along the principal axes of ImageNet's pixels (Krizhevsky et al. 2012, section 4.1): 0.1.
  double lighting = 0;
};

/// Draws the same numbers from `rng` for any image.
ColourChange draw_colours(const ColourNoise& noise, Rng& rng);

/// Changes three planes of `plane` values in [0, 255] one after another; results may lie outside.
/// brightness: v f;  contrast: m + (v - m) f with m the image's mean luma;  saturation: l + (v - l) f with l the
/// pixel's luma; luma = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). Then the shifts.
void change_colours(const ColourChange& change, std::size_t plane, std::span<float> rgb);

}  // namespace lockstep
