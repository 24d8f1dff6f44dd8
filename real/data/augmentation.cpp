#include "real/data/augmentation.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "real/data/resample.hpp"

namespace lockstep {

namespace {

constexpr double kEvaluationZoom = 8.0 / 7;  // 256 pixels for an input of 224

/// Random area and aspect ratio within the recipe's bounds; after ten tries that do not fit, the largest central crop of a fitting shape.
Region random_region(const Image& image, const Recipe& recipe, Rng& rng) {
  const double area = static_cast<double>(image.h) * image.w;
  const double low = std::log(recipe.least_aspect), high = std::log(recipe.most_aspect);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double wanted = area * (recipe.least_area + (recipe.most_area - recipe.least_area) * rng.uniform());
    const double aspect = std::exp(low + (high - low) * rng.uniform());
    const double w = std::round(std::sqrt(wanted * aspect)), h = std::round(std::sqrt(wanted / aspect));
    if (w < 1 || h < 1 || w > image.w || h > image.h) continue;
    const auto top = static_cast<double>(rng.below(static_cast<std::uint64_t>(image.h - static_cast<int>(h) + 1)));
    const auto left = static_cast<double>(rng.below(static_cast<std::uint64_t>(image.w - static_cast<int>(w) + 1)));
    return {top, left, h, w};
  }
  const double ratio = static_cast<double>(image.w) / image.h;
  double w = image.w, h = image.h;
  if (ratio < recipe.least_aspect) h = std::round(w / recipe.least_aspect);
  if (ratio > recipe.most_aspect) w = std::round(h * recipe.most_aspect);
  return {(image.h - h) / 2, (image.w - w) / 2, h, w};
}

Region central_region(const Image& image, const Shape& shape) {
  // Shorter side to 8/7 of the input, then the centre: in pixels of the image.
  const double scale = std::min(static_cast<double>(image.h) / (shape.h * kEvaluationZoom),
                                static_cast<double>(image.w) / (shape.w * kEvaluationZoom));
  const double h = shape.h * scale, w = shape.w * scale;
  return {(image.h - h) / 2, (image.w - w) / 2, h, w};
}

/// Krizhevsky's colour noise: along the principal components of ImageNet's pixels (values of the original, on a scale of 255).
std::array<float, 3> lighting(double sigma, Rng& rng) {
  constexpr double kValue[3] = {55.46, 4.794, 1.148};
  constexpr double kVector[3][3] = {{-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}};
  std::array<float, 3> shift{};
  for (int k = 0; k < 3; ++k) {
    const double alpha = sigma * rng.normal() * kValue[k];
    for (std::size_t c = 0; c < 3; ++c) shift[c] += static_cast<float>(alpha * kVector[c][k]);
  }
  return shift;
}

}  // namespace

Recipe recipe_of(const std::string& kind, const std::string& augmentation) {
  Recipe r;
  if (kind == "idx") {
    r.training = Augment::PadCropFlip;
    r.pad = 2;            // 28 x 28 images in 32 x 32 have a border of 2 already
    r.mean.fill(0.2860);  // Fashion-MNIST's 60,000 training images; a test computes them
    r.deviation.fill(0.3530);
  } else if (kind == "cifar10") {
    r.training = Augment::PadCropFlip;
    r.mean = {0.4914, 0.4822, 0.4465};  // CIFAR-10's training images, as customary
    r.deviation = {0.2470, 0.2435, 0.2616};
  } else {
    r.resize = kind == "imagenet_folder";
    r.training = r.resize ? Augment::RandomResizedCrop : Augment::None;
    r.mean = {0.485, 0.456, 0.406};  // ImageNet's training images, as customary
    r.deviation = {0.229, 0.224, 0.225};
  }
  if (augmentation == "none") r.training = Augment::None;
  if (augmentation == "pad_crop_flip") r.training = Augment::PadCropFlip;
  if (augmentation == "random_resized_crop") r.training = Augment::RandomResizedCrop;
  return r;
}

int pixels_needed(const Recipe& recipe, const Shape& shape) {
  return recipe.resize || recipe.training == Augment::RandomResizedCrop ? std::max(shape.h, shape.w) : 0;
}

void prepare_image(const Image& image, const Recipe& recipe, bool augment, std::uint64_t seed, std::int64_t epoch,
                   std::int64_t sample, const Shape& shape, std::span<float> out) {
  LOCKSTEP_EXPECTS(static_cast<std::int64_t>(out.size()) == shape.elements() && image.c >= 1);
  Rng rng(seed, "augmentation", static_cast<std::uint64_t>(epoch) << 40 | static_cast<std::uint64_t>(sample));
  const Augment kind = augment ? recipe.training : Augment::None;
  const bool flip = kind != Augment::None && recipe.flip && rng.below(2) == 1;

  std::array<float, 3> scale{}, offset{}, shift{};
  if (kind != Augment::None && recipe.lighting > 0) shift = lighting(recipe.lighting, rng);
  for (std::size_t c = 0; c < 3; ++c) {
    scale[c] = static_cast<float>(1 / (255 * recipe.deviation[c]));
    offset[c] = static_cast<float>(-recipe.mean[c] / recipe.deviation[c]) + shift[c] * scale[c];
  }
  const auto channel = [](std::size_t c) { return std::min<std::size_t>(c, 2); };
  const auto plane = static_cast<std::size_t>(shape.h) * static_cast<std::size_t>(shape.w);
  const auto source = [&](std::size_t c) {
    return image.c == 1 ? 0 : std::min<std::size_t>(c, static_cast<std::size_t>(image.c) - 1);
  };

  const bool resized = kind == Augment::RandomResizedCrop || (recipe.resize && kind != Augment::PadCropFlip);
  if (resized) {
    const Region region =
        kind == Augment::RandomResizedCrop ? random_region(image, recipe, rng) : central_region(image, shape);
    thread_local std::vector<float> pixels;  // scratch
    resample(image, region, shape.h, shape.w, pixels);
    for (std::size_t c = 0; c < static_cast<std::size_t>(shape.c); ++c) {
      float* to = out.data() + c * plane;
      for (std::size_t i = 0; i < plane; ++i)
        to[i] = pixels[i * static_cast<std::size_t>(image.c) + source(c)] * scale[channel(c)] + offset[channel(c)];
      for (int y = 0; flip && y < shape.h; ++y) std::reverse(to + y * shape.w, to + (y + 1) * shape.w);
    }
    return;
  }
  // The image is laid on a field of zeros (after normalising: black idx borders stay what the images' own borders are), centred, or shifted by up to `pad`.
  int top = (shape.h - image.h) / 2, left = (shape.w - image.w) / 2;
  if (kind == Augment::PadCropFlip) {
    const auto range = static_cast<std::uint64_t>(2 * recipe.pad + 1);
    top += static_cast<int>(rng.below(range)) - recipe.pad;
    left += static_cast<int>(rng.below(range)) - recipe.pad;
  }
  for (std::size_t c = 0; c < static_cast<std::size_t>(shape.c); ++c) {
    float* to = out.data() + c * plane;
    const float outside = image.c == 1 ? offset[channel(c)] : 0.0f;
    for (int y = 0; y < shape.h; ++y) {
      for (int x = 0; x < shape.w; ++x) {
        const int from_y = y - top, from_x = (flip ? shape.w - 1 - x : x) - left;
        const bool inside = 0 <= from_y && from_y < image.h && 0 <= from_x && from_x < image.w;
        const std::size_t at =
            (static_cast<std::size_t>(from_y) * static_cast<std::size_t>(image.w) + static_cast<std::size_t>(from_x)) *
            static_cast<std::size_t>(image.c);
        *to++ = inside ? image.pixels[at + source(c)] * scale[channel(c)] + offset[channel(c)] : outside;
      }
    }
  }
}

}  // namespace lockstep
