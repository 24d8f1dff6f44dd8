#include "real/data/augmentation.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "real/data/resample.hpp"

namespace lockstep {

namespace {

constexpr double kEvaluationZoom = 8.0 / 7;  // 256 pixels for an input of 224
constexpr int kTries = 10;

std::uint64_t stream_index(std::int64_t epoch, std::int64_t sample) {
  LOCKSTEP_EXPECTS(0 <= epoch && epoch < (1 << 23) && 0 <= sample && sample < std::int64_t{1} << 40);
  return static_cast<std::uint64_t>(epoch) << 40 | static_cast<std::uint64_t>(sample);
}

Region random_region(int height, int width, const Recipe& recipe, Rng& rng) {
  const double area = static_cast<double>(height) * width;
  const double low = std::log(recipe.least_aspect), high = std::log(recipe.most_aspect);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const double wanted = area * (recipe.least_area + (recipe.most_area - recipe.least_area) * rng.uniform());
    const double aspect = std::exp(low + (high - low) * rng.uniform());
    const double w = std::round(std::sqrt(wanted * aspect)), h = std::round(std::sqrt(wanted / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const auto top = static_cast<double>(rng.below(static_cast<std::uint64_t>(height - static_cast<int>(h) + 1)));
    const auto left = static_cast<double>(rng.below(static_cast<std::uint64_t>(width - static_cast<int>(w) + 1)));
    return {top, left, h, w};
  }
  double w = width, h = height;
  if (w / h < recipe.least_aspect) h = std::max(1.0, std::round(w / recipe.least_aspect));
  if (w / h > recipe.most_aspect) w = std::max(1.0, std::round(h * recipe.most_aspect));
  return {(height - h) / 2, (width - w) / 2, h, w};
}

Region central_region(int height, int width, const Shape& shape) {
  const double scale = std::min(height / (shape.h * kEvaluationZoom), width / (shape.w * kEvaluationZoom));
  const double h = shape.h * scale, w = shape.w * scale;
  return {(height - h) / 2, (width - w) / 2, h, w};
}

/// One channel of the image, its corner at (top, left) of the field `to`; `outside` where the image is not.
void lay(const Image& image, std::size_t channel, int top, int left, float scale, float offset, float outside,
         const Shape& shape, float* to) {
  const auto c = static_cast<std::size_t>(image.c), w = static_cast<std::size_t>(image.w);
  const int first = std::clamp(left, 0, shape.w), last = std::clamp(left + image.w, first, shape.w);
  for (int y = 0; y < shape.h; ++y, to += shape.w) {
    const int from = y - top;
    if (from < 0 || from >= image.h || first == last) {
      std::fill(to, to + shape.w, outside);
      continue;
    }
    std::fill(to, to + first, outside);
    const std::uint8_t* p = image.pixels.data() +
                            (static_cast<std::size_t>(from) * w + static_cast<std::size_t>(first - left)) * c + channel;
    for (int x = first; x < last; ++x, p += c) to[x] = static_cast<float>(*p) * scale + offset;
    std::fill(to + last, to + shape.w, outside);
  }
}

ColourChange colours_of(const Recipe& recipe, std::uint64_t seed, std::int64_t epoch, std::int64_t sample) {
  Rng rng(seed, "colours", stream_index(epoch, sample));
  return draw_colours(recipe.colours, rng);
}

/// Most outputs of a row that can be mixed at once within kMostMixed; 0: not even one.
int columns_at_once(const Taps& across, int channels) {
  const std::size_t outputs = across.first.size();
  for (std::size_t columns = 256; columns > 0; columns /= 2) {
    std::size_t widest = 0;
    for (std::size_t x = 0; x < outputs; x += columns)
      widest = std::max(widest, across.first[std::min(outputs, x + columns) - 1] + across.count - across.first[x]);
    if (widest * static_cast<std::size_t>(channels) <= kMostMixed) return static_cast<int>(columns);
  }
  return 0;
}

/// First positions as int, then weights.
std::byte* put_taps(const Taps& taps, std::byte* to) {
  for (const std::size_t first : taps.first) {
    const auto value = static_cast<int>(first);
    std::memcpy(to, &value, sizeof value);
    to += sizeof value;
  }
  const std::size_t bytes = taps.weight.size() * sizeof(float);
  std::memcpy(to, taps.weight.data(), bytes);
  return to + bytes;
}

}  // namespace

Recipe recipe_of(DataKind kind, Augmentation augmentation) {
  Recipe r;
  if (kind == DataKind::Idx) {
    r.training = Augment::PadCropFlip;
    r.pad = 2;            // 28 x 28 images in 32 x 32 have a border of 2 already
    r.mean.fill(0.2860);  // Fashion-MNIST's 60,000 training images; a test computes them
    r.deviation.fill(0.3530);
  } else if (kind == DataKind::Cifar10) {
    r.training = Augment::PadCropFlip;
    r.mean = {0.4914, 0.4822, 0.4465};  // CIFAR-10's training images, as customary [memory]
    r.deviation = {0.2470, 0.2435, 0.2616};
  } else {
    r.resize = kind == DataKind::ImagenetFolder;
    r.training = r.resize ? Augment::RandomResizedCrop : Augment::None;
    r.mean = {0.485, 0.456, 0.406};  // ImageNet's training images, as customary [memory]
    r.deviation = {0.229, 0.224, 0.225};
  }
  if (augmentation == Augmentation::None) r.training = Augment::None;
  if (augmentation == Augmentation::PadCropFlip) r.training = Augment::PadCropFlip;
  if (augmentation == Augmentation::RandomResizedCrop) r.training = Augment::RandomResizedCrop;
  return r;
}

Draw draw_of(const Recipe& recipe, bool augment, std::uint64_t seed, std::int64_t epoch, std::int64_t sample,
             int stored_h, int stored_w, const Shape& shape) {
  LOCKSTEP_EXPECTS(stored_h > 0 && stored_w > 0);
  const Augment kind = augment ? recipe.training : Augment::None;
  Draw draw;
  draw.top = (shape.h - stored_h) / 2;
  draw.left = (shape.w - stored_w) / 2;
  if (kind == Augment::None) {
    if (recipe.resize) draw.region = central_region(stored_h, stored_w, shape);
    return draw;
  }
  Rng rng(seed, "augmentation", stream_index(epoch, sample));
  draw.flip = recipe.flip && rng.below(2) == 1;
  if (kind == Augment::RandomResizedCrop) {
    draw.region = random_region(stored_h, stored_w, recipe, rng);
    draw.recolour = recipe.colours.jitter > 0 || recipe.colours.lighting > 0;
  } else {
    const auto range = static_cast<std::uint64_t>(2 * recipe.pad + 1);
    draw.top += static_cast<int>(rng.below(range)) - recipe.pad;
    draw.left += static_cast<int>(rng.below(range)) - recipe.pad;
  }
  return draw;
}

PixelScale pixel_scale(const Recipe& recipe) {
  PixelScale p{};
  for (std::size_t c = 0; c < 3; ++c) {
    p.scale[c] = static_cast<float>(1 / (255 * recipe.deviation[c]));
    p.offset[c] = static_cast<float>(-recipe.mean[c] / recipe.deviation[c]);
  }
  return p;
}

void prepare_image(const Image& image, const Recipe& recipe, bool augment, std::uint64_t seed, std::int64_t epoch,
                   std::int64_t sample, const Shape& shape, std::span<float> out) {
  LOCKSTEP_EXPECTS(static_cast<std::int64_t>(out.size()) == shape.elements() && image.c >= 1);
  const Draw draw = draw_of(recipe, augment, seed, epoch, sample, image.stored_h(), image.stored_w(), shape);
  const auto plane = static_cast<std::size_t>(shape.h) * static_cast<std::size_t>(shape.w);
  const auto channels = static_cast<std::size_t>(shape.c), stored = static_cast<std::size_t>(image.c);

  const auto [scale, offset] = pixel_scale(recipe);
  thread_local std::vector<float> scratch;
  std::span<const float> pixels;  // [stored, H, W], if the image was resampled
  if (draw.region) {
    std::span<float> to = out;
    if (stored != channels) {
      scratch.resize(stored * plane);
      to = scratch;
    }
    resample(image, image.here(*draw.region), shape.h, shape.w, to);
    if (draw.recolour && channels == 3 && stored == 3) {
      change_colours(colours_of(recipe, seed, epoch, sample), plane, to);
    }
    pixels = to;
  }
  for (std::size_t c = 0; c < channels; ++c) {
    const std::size_t from = std::min(c, stored - 1), as = std::min<std::size_t>(c, 2);
    float* to = out.data() + c * plane;
    if (draw.region) {
      const float* p = pixels.data() + from * plane;
      for (std::size_t i = 0; i < plane; ++i) to[i] = p[i] * scale[as] + offset[as];
    } else {
      lay(image, from, draw.top, draw.left, scale[as], offset[as], stored == 1 ? offset[as] : 0.0f, shape, to);
    }
    for (int y = 0; draw.flip && y < shape.h; ++y) std::reverse(to + y * shape.w, to + (y + 1) * shape.w);
  }
}

std::optional<PackedImage> pack_image(const Image& image, const Recipe& recipe, bool augment, std::uint64_t seed,
                                      std::int64_t epoch, std::int64_t sample, const Shape& shape,
                                      std::span<float> slot) {
  LOCKSTEP_EXPECTS(static_cast<std::int64_t>(slot.size()) == shape.elements() && image.c >= 1);
  const Draw draw = draw_of(recipe, augment, seed, epoch, sample, image.stored_h(), image.stored_w(), shape);
  std::byte* to = std::as_writable_bytes(slot).data();
  const std::size_t room = slot.size_bytes(), pixels = image.on_device != nullptr ? 0 : image.pixels.size();
  PackedImage out{};
  out.elsewhere = image.on_device;
  out.h = image.h;
  out.w = image.w;
  out.c = image.c;
  out.flip = draw.flip ? 1 : 0;
  if (!draw.region && pixels <= room) {
    out.kind = PackedImage::Laid;
    out.top = draw.top;
    out.left = draw.left;
    out.size = static_cast<long long>(pixels);
    if (pixels > 0) std::memcpy(to, image.pixels.data(), pixels);
    return out;
  }
  if (draw.region) {
    thread_local Taps across, down;  // scratch, of no meaning between calls
    const Region part = image.here(*draw.region);
    fill_taps(part.left, part.width, image.w, shape.w, across);
    fill_taps(part.top, part.height, image.h, shape.h, down);
    const std::size_t taps = (pixels + 3) / 4 * 4;
    const std::size_t size =
        taps + sizeof(float) * (across.first.size() + across.weight.size() + down.first.size() + down.weight.size());
    out.columns = columns_at_once(across, image.c);
    if (size <= room && out.columns > 0) {
      out.kind = PackedImage::Resampled;
      out.size = static_cast<long long>(size);
      out.taps = static_cast<int>(taps);
      out.across = static_cast<int>(across.count);
      out.down = static_cast<int>(down.count);
      out.recolour = draw.recolour && shape.c == 3 && image.c == 3 ? 1 : 0;
      if (out.recolour != 0) out.colours = colours_of(recipe, seed, epoch, sample);
      if (pixels > 0) std::memcpy(to, image.pixels.data(), pixels);
      put_taps(down, put_taps(across, to + taps));
      return out;
    }
  }
  if (image.on_device != nullptr) return std::nullopt;
  prepare_image(image, recipe, augment, seed, epoch, sample, shape, slot);
  out = {};
  out.kind = PackedImage::Prepared;
  out.c = shape.c;
  out.size = static_cast<long long>(room);
  return out;
}

}  // namespace lockstep
