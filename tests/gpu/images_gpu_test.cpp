// Images prepared on the device against the host's.
#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/rng.hpp"
#include "real/cuda/base/memory.hpp"
#include "real/cuda/base/stream.hpp"
#include "real/cuda/kernels/images.hpp"
#include "real/data/augmentation.hpp"
#include "tests/gpu/machine.hpp"

namespace lockstep {
namespace {

using namespace cuda;

// Every operation is rounded alone and in the host's order, so the bits agree. Contrast alone may differ, as input_test.cpp derives: by less than 2^-11 of
// a pixel, divided by 255 and the least deviation, 0.224.
TEST(ImagesGpu, HaveTheBitsOfTheHost) {
  if (test::show_devices(1) == 0) GTEST_SKIP() << "no GPU";
  constexpr int kImages = 12;
  const Shape shape{3, 64, 48};
  const auto each = static_cast<std::size_t>(shape.elements());
  for (const double jitter : {0.0, 0.4}) {
    Recipe recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
    recipe.colours = {jitter, 0.1};
    std::vector<float> slots(kImages * each), wanted(kImages * each), got(kImages * each);
    std::vector<PackedImage> images;
    int resampled = 0;
    for (int i = 0; i < kImages; ++i) {
      Rng rng(5, "pixels", static_cast<std::uint64_t>(i));
      Image image;
      image.c = 3;
      image.h = 20 + 9 * i;
      image.w = 90 - 5 * i;
      for (int k = 0; k < image.c * image.h * image.w; ++k)
        image.pixels.push_back(static_cast<std::uint8_t>(rng.below(256)));
      const std::size_t at = static_cast<std::size_t>(i) * each;
      images.push_back(
          pack_image(image, recipe, i % 4 != 0, 1, 2, i, shape, std::span(slots).subspan(at, each)).value());
      images.back().at = static_cast<long long>(at * sizeof(float));
      resampled += images.back().kind == PackedImage::Resampled ? 1 : 0;
      prepare_image(image, recipe, i % 4 != 0, 1, 2, i, shape, std::span(wanted).subspan(at, each));
    }
    EXPECT_GE(resampled, kImages / 2);
    const Stream stream;
    const DeviceArray<float> packed(slots.size()), pixels(slots.size()), means(kImages), out(slots.size());
    const DeviceArray<PackedImage> table(images.size());
    copy_to_device(std::span<const float>(slots), packed.data(), stream);
    copy_to_device(std::span<const PackedImage>(images), table.data(), stream);
    prepare_images(Element::F32, {kImages, shape.h, shape.w, 3, 3},
                   reinterpret_cast<const unsigned char*>(packed.data()), table.data(), pixel_scale(recipe),
                   {pixels.data(), means.data()}, out.data(), stream);
    copy_to_host(static_cast<const float*>(out.data()), std::span(got), stream);
    stream.synchronise();
    const std::size_t plane = each / 3;
    const double allowed = jitter > 0 ? std::ldexp(1.0, -11) / 255 / 0.224 : 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const std::size_t image = i / each, pixel = i % each / 3, channel = i % 3;
      ASSERT_LE(std::abs(double{got[i]} - double{wanted[image * each + channel * plane + pixel]}), allowed)
          << image << " " << pixel << " " << channel;
    }
  }
}

}  // namespace
}  // namespace lockstep
