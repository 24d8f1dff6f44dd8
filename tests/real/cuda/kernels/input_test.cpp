// Augmentation against real/data, dropout against core's random streams, LRN against differences in fp64.
#include <gtest/gtest.h>

#include "core/base/rng.hpp"
#include "real/cuda/kernels/augment.hpp"
#include "real/cuda/kernels/dropout.hpp"
#include "real/cuda/kernels/lrn.hpp"
#include "real/data/augmentation.hpp"
#include "tests/real/cuda/kernels/buffer.hpp"

namespace lockstep::cuda {

TEST(Augment, EqualsPreparedImages) {
  struct Size {
    const char* kind;
    int stored_h, stored_w, stored_c, h, w, c, c_out;
  };
  for (const Size s : {Size{"cifar10", 32, 32, 3, 32, 32, 3, 4},
                       {"idx", 28, 28, 1, 32, 32, 3, 8},
                       {"idx", 28, 28, 1, 32, 32, 1, 1},
                       {"cifar10", 9, 7, 3, 5, 10, 3, 3}}) {
    for (const bool augmented : {false, true}) {
      const Recipe recipe = recipe_of(s.kind, "auto");
      const Shape shape{s.c, s.h, s.w};
      constexpr int kStored = 5, kImages = 4;
      const auto bytes = static_cast<std::size_t>(s.stored_h * s.stored_w * s.stored_c);
      std::vector<unsigned char> stored;
      Rng rng(3, "pixels");
      for (std::size_t i = 0; i < kStored * bytes; ++i) stored.push_back(static_cast<unsigned char>(rng.below(256)));
      std::vector<ImageDraw> draws;
      std::vector<float> prepared;
      for (int i = 0; i < kImages; ++i) {
        const int which = (i * 3 + 1) % kStored;
        const Draw draw = draw_of(recipe, augmented, 42, 1, which, s.stored_h, s.stored_w, shape);
        draws.push_back({which, draw.top, draw.left, draw.flip ? 1 : 0});
        Image image;
        image.c = s.stored_c, image.h = s.stored_h, image.w = s.stored_w;
        const auto begin = stored.begin() + static_cast<std::ptrdiff_t>(bytes) * which;
        image.pixels.assign(begin, begin + static_cast<std::ptrdiff_t>(bytes));
        std::vector<float> out(static_cast<std::size_t>(shape.elements()));
        prepare_image(image, recipe, augmented, 42, 1, which, shape, out);
        prepared.insert(prepared.end(), out.begin(), out.end());
      }
      const AugmentShape sizes{kImages, s.stored_h, s.stored_w, s.stored_c, s.h, s.w, s.c, s.c_out};
      for (const Element e : kElements) {
        const auto pixels = static_cast<std::size_t>(kImages * s.h * s.w), wide = static_cast<std::size_t>(s.c_out);
        Buffer out(e, pixels * wide), turned(e, pixels * wide);
        in_both_orders([&] {
          augment(e, sizes, stored.data(), draws.data(), pixel_scale(recipe.mean, recipe.deviation), out.data(),
                  nullptr);
          nchw_to_nhwc(e, kImages, s.c, s.h, s.w, s.c_out, prepared.data(), turned.data(), nullptr);
          return out.image() + turned.image();
        });
        const auto plane = static_cast<std::size_t>(s.h * s.w), c = static_cast<std::size_t>(s.c);
        for (std::size_t p = 0; p < pixels; ++p) {
          for (std::size_t k = 0; k < wide; ++k) {
            const double wanted =
                k < c ? static_cast<double>(prepared[p / plane * c * plane + k * plane + p % plane]) : 0;
            ASSERT_TRUE(near(e, wanted, turned[p * wide + k], 0)) << s.kind << " " << p << " " << k;
            ASSERT_TRUE(near(e, wanted, out[p * wide + k], 0x1p-22)) << s.kind << " " << p << " " << k;
            ASSERT_TRUE(k < c || out[p * wide + k] == 0);
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
