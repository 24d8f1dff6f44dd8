// From stored pixels to the network's input: crop, resample, flip, change colours, normalise.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"
#include "real/data/colour.hpp"
#include "real/data/image.hpp"
#include "real/data/image_table.hpp"

namespace lockstep {

enum class Augment { None, PadCropFlip, RandomResizedCrop };

/// What is done to the images of one data set.
///   evaluation, and None: with `resize` the shorter side goes to 8/7 of the input (256 for 224) and the central crop
///       is taken, both in one resampling without rounding to whole pixels between (torchvision rounds: up to half a
///       pixel apart). Without, the image is centred in the input, cut where it is larger and padded where it is
///       smaller;
///   PadCropFlip: as without `resize`, moved by up to `pad` pixels each way, and flipped with probability 1/2
///       (He et al. 2016, section 4.2);
///   RandomResizedCrop: a part of random area and aspect ratio, resampled to the input, and flipped with probability
///       1/2 (Szegedy et al. 2015, section 6 [memory]; Goyal et al. 2017, section 5.1). Area uniform, aspect ratio
///       uniform in its logarithm; after ten draws that do not fit, the largest central part of a permitted shape.
/// Padding is 0 after normalising (He et al.); around grey images it is black as their own border is (28 x 28 in
/// 32 x 32).
struct Recipe {
  Augment training = Augment::None;
  bool resize = false;
  int pad = 4;                                           ///< pixels, >= 0
  double least_area = 0.08, most_area = 1.0;             ///< of the image, 0 < least <= most <= 1
  double least_aspect = 3.0 / 4, most_aspect = 4.0 / 3;  ///< width / height
  bool flip = true;
  ColourNoise colours;                               ///< with RandomResizedCrop, if image and input have three channels
  std::array<double, 3> mean{}, deviation{1, 1, 1};  ///< of pixels in [0, 1], per channel
};

/// The usual recipe of a kind of data; `augmentation`: Auto takes the kind's, the others replace the
/// training part.
Recipe recipe_of(DataKind kind, Augmentation augmentation);

/// What chance decided for one image.
struct Draw {
  std::optional<Region>
      region;  ///< of the stored image, resampled to the input; else the image itself is laid at (top, left)
  int top = 0, left = 0;
  bool flip = false;
  bool recolour = false;
};

/// A pure function of its arguments: the same on any rank, thread and in any order. Without `augment` of the sizes
/// alone. 0 <= epoch < 2^23, 0 <= sample < 2^40.
Draw draw_of(const Recipe& recipe, bool augment, std::uint64_t seed, std::int64_t epoch, std::int64_t sample,
             int stored_h, int stored_w, const Shape& shape);

/// The factors of the recipe's normalisation.
PixelScale pixel_scale(const Recipe& recipe);

/// Writes `out` as [C, H, W] fp32: (pixel / 255 - mean) / deviation, for the draw of the same arguments. Grey images
/// are repeated over the channels; of more channels than `shape` has, the first are taken. `image` must hold what
/// draw_of() wants of it (Wanted in dataset.hpp). resample() says how resampling compares with others. Cost: one pass
/// over the output, and the resampling.
void prepare_image(const Image& image, const Recipe& recipe, bool augment, std::uint64_t seed, std::int64_t epoch,
                   std::int64_t sample, const Shape& shape, std::span<float> out);

/// The same image for a device that prepares it itself: `slot`, of shape.elements() values, receives bytes and taps
/// (image_table.hpp), and the result tells what they are; `at` is 0. Where those would take more room than the prepared
/// image (a strip of a huge picture, an input smaller than what is stored), or more columns than a device mixes at
/// once, the slot holds the prepared image instead; if the pixels are in the device's memory, the result is empty then.
/// Cost: a copy of the pixels, and the weights.
std::optional<PackedImage> pack_image(const Image& image, const Recipe& recipe, bool augment, std::uint64_t seed,
                                      std::int64_t epoch, std::int64_t sample, const Shape& shape,
                                      std::span<float> slot);

}  // namespace lockstep
