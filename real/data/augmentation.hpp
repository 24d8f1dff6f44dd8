// From stored pixels to the network's input: crop, resample, flip, normalise.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "core/model/graph.hpp"
#include "real/data/dataset.hpp"

namespace lockstep {

enum class Augment { None, PadCropFlip, RandomResizedCrop };

/// What is done to images of one data set.
struct Recipe {
  Augment training = Augment::None;
  bool resize =
      false;  ///< evaluation: shorter side to 8/7 of the input, then the central crop; else the image is centred and padded with the mean
  double least_area = 0.08, most_area = 1.0, least_aspect = 3.0 / 4,
         most_aspect = 4.0 / 3;  ///< RandomResizedCrop (Szegedy et al. 2015; Goyal, section 5.1)
  double lighting =
      0;  ///< sigma of the colour noise along the principal axes of ImageNet (Krizhevsky et al. 2012, section 4.1): 0.1; 0 = off
  int pad = 4;  ///< PadCropFlip (He et al. 2016, section 4.2)
  bool flip = true;
  std::array<double, 3> mean{}, deviation{1, 1, 1};  ///< of pixels in [0, 1], per channel
};

/// The usual recipe of a kind of data; `augmentation` as in the run file: auto takes the kind's, the others replace the training part.
Recipe recipe_of(const std::string& kind, const std::string& augmentation);

/// Writes `out` as [C, H, W] fp32: (pixel / 255 - mean) / deviation. Grey images are repeated over the channels. With `augment` a pure function of
/// (seed, epoch, sample) and the image, whoever computes it; without it, of the image alone. Resampling is bilinear with the filter widened when shrinking
/// (as Pillow and torchvision with antialiasing do), from the cropped region straight to the output.
void prepare_image(const Image& image, const Recipe& recipe, bool augment, std::uint64_t seed, std::int64_t epoch,
                   std::int64_t sample, const Shape& shape, std::span<float> out);

/// Pixels across that prepare_image() can use of an image: what a reader should keep. 0 = all.
int pixels_needed(const Recipe& recipe, const Shape& shape);

}  // namespace lockstep
