// Bilinear resampling of a region of an image.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "real/data/image.hpp"

namespace lockstep {

/// Writes `region` of the image's pixels as [c, out_h, out_w], values in [0, 255]. Each output pixel is a weighted mean
/// of the input pixels around its centre, weights falling linearly to 0 at a distance of max(1, scale) input pixels,
/// where scale = region / output: plain bilinear when enlarging, without aliasing when shrinking. These are the weights
/// of Pillow's resize(BILINEAR, box) and of torchvision's antialias = true, here in fp32 without rounding to whole
/// pixel values between the passes. Like Pillow's box, and unlike torchvision, which crops first, pixels outside the
/// region but inside the image weigh in at its border. `region` must lie inside the image (to a thousandth of a pixel).
/// Two passes, columns of pixels first: out_h * taps * width + out_h * out_w * taps operations per channel, taps about
/// 2 max(1, scale). No allocation once a thread has seen its largest image.
void resample(const Image& image, const Region& region, int out_h, int out_w, std::span<float> out);

/// The weights of one direction: for each output position the first input position, and `count` weights, zeros included.
struct Taps {
  std::size_t count = 0;
  std::vector<std::size_t> first;  ///< ascending; first + count never lies beyond the input
  std::vector<float> weight;       ///< [outputs, count]
  const float* of(std::size_t i) const { return weight.data() + i * count; }
};

/// The taps by which resample() takes [begin, begin + length) of `limit` input positions to `outputs`. `taps` keeps its memory.
void fill_taps(double begin, double length, int limit, int outputs, Taps& taps);

/// How far beyond a region of `length` pixels resample() to `count` reads: max(1, scale), rounded up.
int resample_reach(double length, int count);

}  // namespace lockstep
