// Bilinear resampling of a region of an image.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "real/data/dataset.hpp"

namespace lockstep {

/// A rectangle in pixels, inside the image.
struct Region {
  double top = 0, left = 0, height = 0, width = 0;
};

/// Each output pixel is a weighted mean of the input pixels around its centre, weights falling linearly to 0 at a distance of max(1, scale) input pixels, where
/// scale = region / output: plain bilinear when enlarging, without aliasing when shrinking. Two passes, rows then columns. Result [out_h, out_w, c], in [0, 255].
void resample(const Image& image, const Region& region, int out_h, int out_w, std::vector<float>& out);

}  // namespace lockstep
