// The resampler against hand calculations and against its definition in double precision.
#include <algorithm>
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "core/base/rng.hpp"
#include "real/data/resample.hpp"

namespace lockstep {
namespace {

Image noise(int c, int h, int w, std::uint64_t seed) {
  Image image{c, h, w, {}, 0, {}};
  Rng rng(seed, "pixels");
  for (int i = 0; i < c * h * w; ++i) image.pixels.push_back(static_cast<std::uint8_t>(rng.below(256)));
  return image;
}

std::vector<float> resampled(const Image& image, const Region& region, int h, int w) {
  std::vector<float> out(static_cast<std::size_t>(image.c * h * w));
  resample(image, region, h, w, out);
  return out;
}

// Shrinking 4 pixels to 2: each output pixel is centred between two inputs, the filter reaches 2 pixels to both sides:
// weights 0.25, 0.75, 0.75, 0.25 of 2,
// cut at the edge: (0.75 a + 0.75 b + 0.25 c) / 1.75.
TEST(Resample, ByHand) {
  const Image row{1, 1, 4, {0, 100, 200, 40}, 0, {}};
  const auto half = resampled(row, {0, 0, 1, 4}, 1, 2);
  EXPECT_NEAR(half[0], (0.75 * 0 + 0.75 * 100 + 0.25 * 200) / 1.75, 1e-3);
  EXPECT_NEAR(half[1], (0.25 * 100 + 0.75 * 200 + 0.75 * 40) / 1.75, 1e-3);
  EXPECT_THAT(resampled(row, {0, 0, 1, 4}, 1, 4), testing::ElementsAre(0, 100, 200, 40));  // the same size
  // Twice the size of the left half: output centres at 0.25, 0.75, 1.25, 1.75 of inputs at 0.5, 1.5, 2.5.
  EXPECT_THAT(resampled(row, {0, 0, 1, 2}, 1, 4), testing::ElementsAre(0, 25, 75, 125));
}

TEST(Resample, ReadsNoFurtherThanItSays) {
  EXPECT_EQ(resample_reach(10, 20), 1);
  EXPECT_EQ(resample_reach(21, 10), 3);  // 2.1 pixels, rounded up
}

/// The definition, without passes or precomputed weights.
double reference(const Image& image, const Region& r, int out_h, int out_w, int c, int oy, int ox) {
  const double sy = r.height / out_h, sx = r.width / out_w;
  const double reach_y = std::max(1.0, sy), reach_x = std::max(1.0, sx);
  const double cy = r.top + (oy + 0.5) * sy, cx = r.left + (ox + 0.5) * sx;
  double sum = 0, weights = 0;
  for (int y = 0; y < image.h; ++y) {
    for (int x = 0; x < image.w; ++x) {
      const double weight =
          std::max(0.0, 1 - std::abs(y + 0.5 - cy) / reach_y) * std::max(0.0, 1 - std::abs(x + 0.5 - cx) / reach_x);
      sum += weight * image.pixels[static_cast<std::size_t>((y * image.w + x) * image.c + c)];
      weights += weight;
    }
  }
  return sum / weights;
}

// Each pass adds up at most n products of values up to 255, n <= 2 x reach + 1 inputs: (n + 2) roundings of 2^-24 each.
TEST(Resample, EqualsItsDefinition) {
  EXPECT_TRUE(rc::check([] {
    const int c = *rc::gen::element(1, 3, 4), h = *rc::gen::inRange(1, 40), w = *rc::gen::inRange(1, 40);
    const int out_h = *rc::gen::inRange(1, 24), out_w = *rc::gen::inRange(1, 24);
    const Image image = noise(c, h, w, *rc::gen::arbitrary<std::uint64_t>());
    const auto span = [](int side) {
      const double a = *rc::gen::inRange(0, 1000) / 1000.0, b = *rc::gen::inRange(1, 1001) / 1000.0;
      const double length = b * side;
      return std::pair(a * (side - length), length);
    };
    const auto [top, height] = span(h);
    const auto [left, width] = span(w);
    const Region region{top, left, height, width};
    const auto out = resampled(image, region, out_h, out_w);
    const int taps = 2 * resample_reach(height, out_h) + 2 * resample_reach(width, out_w) + 2;
    const double tolerance = 255.0 * (taps + 4) * std::ldexp(1.0, -24);
    for (int k = 0; k < c; ++k) {
      for (int y = 0; y < out_h; ++y) {
        for (int x = 0; x < out_w; ++x) {
          const double got = out[static_cast<std::size_t>((k * out_h + y) * out_w + x)];
          RC_ASSERT(std::abs(got - reference(image, region, out_h, out_w, k, y, x)) <= tolerance);
        }
      }
    }
  }));
}

}  // namespace
}  // namespace lockstep
