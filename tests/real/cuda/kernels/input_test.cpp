// Prepared images against real/data, dropout against core's random streams, LRN against differences in fp64.
#include <gtest/gtest.h>

#include "core/base/rng.hpp"
#include "core/spec/words.hpp"
#include "real/cuda/kernels/dropout.hpp"
#include "real/cuda/kernels/images.hpp"
#include "real/cuda/kernels/lrn.hpp"
#include "real/data/augmentation.hpp"
#include "tests/real/cuda/kernels/buffer.hpp"

namespace lockstep::cuda {

namespace {

struct Case {
  DataKind kind;
  int stored_h, stored_w, stored_c;
  Shape input;
  int c_out;
  ColourNoise colours;
  PackedImage::Kind travels;  ///< as what its images travel
};

Image noise(const Case& k, int which) {
  Image image;
  image.c = k.stored_c, image.h = k.stored_h, image.w = k.stored_w;
  Rng rng(3, "pixels", static_cast<std::uint64_t>(which));
  for (int i = 0; i < k.stored_c * k.stored_h * k.stored_w; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(rng.below(256)));
  return image;
}

}  // namespace

// The bits of prepare_image() in fp32, rounded once otherwise. Where contrast changes, the mean luma (below 2^8) may differ by one unit in its last place,
// 2^-16; saturation and brightness multiply that by up to 1.4 each, 1 - factor of contrast is up to 0.4, and what follows rounds values below 2^10
// differently, at most eight times by 2^-15: below 2^-11 of a pixel in all.
TEST(PrepareImages, EqualThoseOfTheHost) {
  const Shape cifar{3, 32, 32}, small{3, 24, 20};
  for (const Case& k : {Case{DataKind::Cifar10, 32, 32, 3, cifar, 4, {}, PackedImage::Laid},
                        {DataKind::Idx, 28, 28, 1, cifar, 8, {}, PackedImage::Laid},
                        {DataKind::Idx, 28, 28, 1, {1, 32, 32}, 1, {}, PackedImage::Laid},
                        {DataKind::Cifar10, 9, 7, 3, {3, 5, 10}, 3, {}, PackedImage::Laid},
                        {DataKind::Cifar10, 32, 32, 3, {3, 8, 8}, 4, {}, PackedImage::Prepared},
                        {DataKind::ImagenetFolder, 20, 25, 3, small, 4, {}, PackedImage::Resampled},
                        {DataKind::ImagenetFolder, 12, 11, 3, small, 3, {}, PackedImage::Resampled},
                        {DataKind::ImagenetFolder, 20, 25, 1, small, 4, {}, PackedImage::Resampled},
                        {DataKind::ImagenetFolder, 20, 25, 3, {1, 40, 40}, 4, {}, PackedImage::Resampled},
                        {DataKind::ImagenetFolder, 20, 25, 3, small, 4, {0.4, 0.1}, PackedImage::Resampled},
                        {DataKind::ImagenetFolder, 20, 25, 3, small, 4, {0, 0.1}, PackedImage::Resampled},
                        {DataKind::ImagenetFolder, 90, 90, 3, small, 4, {0.4, 0.1}, PackedImage::Prepared},
                        {DataKind::ImagenetFolder, 6, 500, 3, {3, 300, 300}, 4, {}, PackedImage::Resampled},
                        {DataKind::ImagenetFolder, 4, 3000, 3, {3, 300, 4}, 4, {}, PackedImage::Prepared}}) {
    for (const bool augmented : {false, true}) {
      Recipe recipe = recipe_of(k.kind, Augmentation::Auto);
      recipe.colours = k.colours;
      constexpr int kImages = 5;  // the last is one that could not be read
      const auto each = static_cast<std::size_t>(k.input.elements());
      std::vector<float> slots(kImages * each), wanted(kImages * each);
      std::vector<PackedImage> images(kImages);
      bool coloured = false;
      for (std::size_t i = 0; i + 1 < kImages; ++i) {
        const Image image = noise(k, static_cast<int>(i));
        const std::span<float> slot(slots.data() + i * each, each), out(wanted.data() + i * each, each);
        const auto sample = static_cast<std::int64_t>(i);
        images[i] = pack_image(image, recipe, augmented, 42, 1, sample, k.input, slot).value();
        images[i].at = static_cast<long long>(i * each * sizeof(float));
        EXPECT_LE(images[i].size, static_cast<long long>(slot.size_bytes()));
        EXPECT_EQ(images[i].kind, k.travels) << word_of(k.kind) << " " << k.stored_h << " " << augmented;
        coloured = coloured || images[i].recolour != 0;
        prepare_image(image, recipe, augmented, 42, 1, sample, k.input, out);
      }
      EXPECT_EQ(coloured, augmented && k.travels == PackedImage::Resampled && k.colours.lighting > 0);
      const double least = *std::min_element(recipe.deviation.begin(), recipe.deviation.end());
      const double error = coloured && k.colours.jitter > 0 ? 0x1p-11 / 255 / least : 0;
      const InputShape shape{kImages, k.input.h, k.input.w, k.input.c, k.c_out};
      std::vector<float> raw(kImages * each), means(kImages);
      const ColourScratch scratch = k.colours.lighting > 0 ? ColourScratch{raw.data(), means.data()} : ColourScratch{};
      for (const Element e : kElements) {
        const auto plane = static_cast<std::size_t>(k.input.h * k.input.w), wide = static_cast<std::size_t>(k.c_out);
        Buffer out(e, kImages * plane * wide);
        in_both_orders([&] {
          prepare_images(e, shape, reinterpret_cast<const unsigned char*>(slots.data()), images.data(),
                         pixel_scale(recipe), scratch, out.data(), nullptr);
          return out.image();
        });
        for (std::size_t p = 0; p < kImages * plane; ++p) {
          for (std::size_t c = 0; c < wide; ++c) {
            const double value =
                c < static_cast<std::size_t>(k.input.c) ? wanted[p / plane * each + c * plane + p % plane] : 0;
            if (e == Element::F32 && error == 0) {
              ASSERT_EQ(out[p * wide + c], value) << word_of(k.kind) << " " << k.stored_h << " " << p << " " << c;
            }
            ASSERT_TRUE(near(e, value, out[p * wide + c], error))
                << word_of(k.kind) << " " << k.stored_h << " " << p << " " << c;
          }
        }
      }
    }
  }
}

TEST(Dropout, DrawsWhatTheProcessorDraws) {
  struct Size {
    int images, channels;
    long long pixels;
  };
  for (const Size s : {Size{3, 4096, 1}, {7, 5, 1}, {1, 3, 1}, {4, 64, 36}, {2, 3, 50}, {3, 130, 1}}) {
    for (const long long position : {0LL, 1000LL, (1LL << 33) + 5}) {
      const auto per_image = static_cast<std::size_t>(s.channels * s.pixels),
                 n = static_cast<std::size_t>(s.images) * per_image;
      std::vector<int> factor(n);
      for (int i = 0; i < s.images; ++i) {
        Rng rng(42, "dropout drop6", static_cast<std::uint64_t>(position + i));
        std::uint32_t bits = 0;
        for (std::size_t k = 0; k < per_image; ++k) {
          if (k % 32 == 0) bits = rng.next_u32();
          const std::size_t channel = k / static_cast<std::size_t>(s.pixels),
                            pixel = k % static_cast<std::size_t>(s.pixels);
          factor[static_cast<std::size_t>(i) * per_image + pixel * static_cast<std::size_t>(s.channels) + channel] =
              (bits >> (k % 32) & 1u) != 0 ? 2 : 0;
        }
      }
      for (const Element e : kElements) {
        const Buffer x(e, normals(n, 1)), old(e, normals(n, 2));
        Buffer y(e, n), sum(e, n);
        const DropoutShape shape{s.images, s.pixels, s.channels, e};
        in_both_orders([&] {
          for (std::size_t i = 0; i < n; ++i) sum.set(i, old[i]);
          dropout(shape, dropout_key(42, "drop6"), &position, x.data(), y.data(), false, nullptr);
          dropout(shape, dropout_key(42, "drop6"), &position, x.data(), sum.data(), true, nullptr);
          return y.image() + sum.image();
        });
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(y[i], factor[i] * x[i]) << i;
          ASSERT_TRUE(near(e, old[i] + factor[i] * x[i], sum[i], 0x1p-22)) << i;
        }
      }
    }
  }
}

namespace {

std::vector<double> lrn_fp64(const std::vector<double>& x, std::size_t channels) {
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % channels;
    double sum = 0;
    for (std::size_t j = c < 2 ? 0 : c - 2; j < std::min(channels, c + 3); ++j) sum += x[i - c + j] * x[i - c + j];
    y[i] = x[i] / std::pow(2 + 1e-4 * sum, 0.75);
  }
  return y;
}

}  // namespace

TEST(Lrn, AgainstFp64AndItsDifferences) {
  for (const Element e : kElements) {
    for (const std::size_t channels : {3, 5, 64}) {
      for (const std::size_t rows : {1, 7}) {
        const std::size_t n = rows * channels;
        const Buffer x(e, normals(n, 1, 60)), dy(e, normals(n, 2)),
            old(e, normals(n, 3));  // large, so that the sum matters beside 2
        Buffer y(e, n), dx(e, n), sum(e, n);
        const auto r = static_cast<long long>(rows);
        const int c = static_cast<int>(channels);
        in_both_orders([&] {
          for (std::size_t i = 0; i < n; ++i) sum.set(i, old[i]);
          lrn_forward(e, r, c, x.data(), y.data(), nullptr);
          lrn_backward(e, r, c, x.data(), dy.data(), dx.data(), false, nullptr);
          lrn_backward(e, r, c, x.data(), dy.data(), sum.data(), true, nullptr);
          return y.image() + dx.image() + sum.image();
        });
        std::vector<double> at = x.values();
        const std::vector<double> wanted = lrn_fp64(at, channels);
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_TRUE(near(e, wanted[i], y[i], 16 * 0x1p-24 * std::fabs(wanted[i]))) << i;
          const double h = 1e-3, centre = at[i];
          at[i] = centre + h;
          const std::vector<double> above = lrn_fp64(at, channels);
          at[i] = centre - h;
          const std::vector<double> below = lrn_fp64(at, channels);
          at[i] = centre;
          double slope = 0, size = 0;
          for (std::size_t j = 0; j < n; ++j)
            slope += dy[j] * (above[j] - below[j]) / (2 * h),
                size += std::fabs(dy[j] * (above[j] - below[j]) / (2 * h));
          // Central differences are off by h^2 times the third derivative, here below 1e-9 of the terms.
          ASSERT_TRUE(near(e, slope, dx[i], 1e-9 + 64 * 0x1p-24 * (size + 1))) << i;
          ASSERT_TRUE(near(e, old[i] + slope, sum[i], 1e-9 + 64 * 0x1p-24 * (size + 2))) << i;
        }
      }
    }
  }
}

}  // namespace lockstep::cuda
