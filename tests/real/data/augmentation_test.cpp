// What chance draws for an image, and what becomes of its pixels.
#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/rng.hpp"
#include "real/data/augmentation.hpp"

namespace lockstep {
namespace {

Image grey(int h, int w, std::vector<std::uint8_t> pixels) { return {1, h, w, std::move(pixels), 0, {}}; }

TEST(Draw, RandomResizedCropStaysWithinItsBounds) {
  const Recipe recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
  constexpr int kH = 400, kW = 500, kDraws = 4000;
  double least = 1, most = 0, least_aspect = 9, most_aspect = 0, left_most = kW, right_most = 0;
  int flipped = 0;
  for (int s = 0; s < kDraws; ++s) {
    const Draw d = draw_of(recipe, true, 1, 0, s, kH, kW, {3, 224, 224});
    ASSERT_TRUE(d.region.has_value());
    const Region& r = *d.region;
    ASSERT_TRUE(r.top >= 0 && r.left >= 0 && r.top + r.height <= kH && r.left + r.width <= kW);
    const double area = r.height * r.width / (kH * kW), aspect = r.width / r.height;
    least = std::min(least, area);
    most = std::max(most, area);
    least_aspect = std::min(least_aspect, aspect);
    most_aspect = std::max(most_aspect, aspect);
    left_most = std::min(left_most, r.left);
    right_most = std::max(right_most, r.left + r.width);
    flipped += d.flip;
  }
  // Sides are rounded to pixels: at 8 % of the area they are at least 109, so area and aspect move by less than 1 %.
  EXPECT_GE(least, 0.08 * 0.99);
  EXPECT_LE(most, 1.0);
  EXPECT_GE(least_aspect, 0.75 * 0.99);
  EXPECT_LE(most_aspect, 4.0 / 3 * 1.01);
  // And they are used up: 4,000 draws miss the outer hundredth of a range with probability e^-40.
  EXPECT_LT(least, 0.09);
  EXPECT_GT(most, 0.95);
  EXPECT_LT(least_aspect, 0.76);
  EXPECT_GT(most_aspect, 1.31);
  EXPECT_EQ(left_most, 0);
  EXPECT_EQ(right_most, kW);
  EXPECT_NEAR(flipped, kDraws / 2, 5 * std::sqrt(kDraws / 4.0));  // five deviations of a fair coin
}

// Small crops always fit, so none is drawn again and the area is uniform: mean 0.15, deviation of the mean 0.1 /
// sqrt(12 x 4000) = 0.0005.
TEST(Draw, TheAreaIsUniform) {
  Recipe recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
  recipe.least_area = 0.1;
  recipe.most_area = 0.2;
  double sum = 0;
  for (int s = 0; s < 4000; ++s) {
    const Region r = *draw_of(recipe, true, 1, 0, s, 1000, 1000, {3, 224, 224}).region;
    sum += r.height * r.width / 1e6;
  }
  EXPECT_NEAR(sum / 4000, 0.15, 5 * 0.0005);
}

// Of a strip of 10 x 1000 pixels no crop of the permitted shapes and areas fits: the largest central one is 10 wide, 10
// / 0.75 = 13 high.
TEST(Draw, WhereNothingFitsTheCentreIsTaken) {
  Recipe recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
  recipe.least_area = 0.5;
  const Region r = *draw_of(recipe, true, 1, 0, 0, 1000, 10, {3, 224, 224}).region;
  EXPECT_EQ(r.width, 10);
  EXPECT_EQ(r.height, 13);
  EXPECT_EQ(r.top, (1000 - 13) / 2.0);
  EXPECT_EQ(r.left, 0);
}

// 400 x 600: the shorter side becomes 256, so 224 pixels are 400 x 224 / 256 = 350 of the image.
TEST(Draw, EvaluationTakesTheCentre) {
  const Draw d =
      draw_of(recipe_of(DataKind::ImagenetFolder, Augmentation::Auto), false, 1, 2, 3, 400, 600, {3, 224, 224});
  EXPECT_DOUBLE_EQ(d.region->height, 350);
  EXPECT_DOUBLE_EQ(d.region->width, 350);
  EXPECT_DOUBLE_EQ(d.region->top, 25);
  EXPECT_DOUBLE_EQ(d.region->left, 125);
  EXPECT_FALSE(d.flip);
}

// Pad 4: 9 x 9 places, flipped or not: 162 cases, each 100 times in 16,200 draws, with a deviation of 10; six of them,
// since there are so many cases.
TEST(Draw, PadCropFlipUsesAllPlacesAlike) {
  const Recipe recipe = recipe_of(DataKind::Cifar10, Augmentation::Auto);
  std::map<std::tuple<int, int, bool>, int> seen;
  for (int s = 0; s < 16200; ++s) {
    const Draw d = draw_of(recipe, true, 3, 1, s, 32, 32, {3, 32, 32});
    EXPECT_FALSE(d.region.has_value());
    ++seen[{d.top, d.left, d.flip}];
  }
  EXPECT_EQ(seen.size(), 162u);
  for (const auto& [draw, count] : seen) {
    EXPECT_LE(std::abs(std::get<0>(draw)), 4);
    EXPECT_LE(std::abs(std::get<1>(draw)), 4);
    EXPECT_NEAR(count, 100, 60);
  }
}

TEST(PrepareImage, GreyIsPaddedWithBlackRepeatedAndNormalised) {
  const Recipe recipe = recipe_of(DataKind::Idx, Augmentation::None);
  std::vector<float> out(3 * 4 * 4);
  prepare_image(grey(2, 2, {255, 0, 0, 255}), recipe, true, 1, 0, 0, {3, 4, 4}, out);
  const auto black = static_cast<float>(-0.2860 / 0.3530), white = static_cast<float>((1 - 0.2860) / 0.3530);
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 4; ++x) {
        const bool lit = (y == 1 && x == 1) || (y == 2 && x == 2);
        EXPECT_NEAR(out[static_cast<std::size_t>(c * 16 + y * 4 + x)], lit ? white : black, 1e-5);
      }
    }
  }
}

// The definition, pixel by pixel: out(y, x) = the image's (y - top, x' - left), x' mirrored if flipped; 0 outside.
TEST(PrepareImage, PadCropFlipMovesPixels) {
  Recipe recipe = recipe_of(DataKind::Cifar10, Augmentation::Auto);
  Image image{3, 6, 5, {}, 0, {}};
  for (int i = 0; i < 3 * 6 * 5; ++i) image.pixels.push_back(static_cast<std::uint8_t>(2 * i));
  for (const int pad : {0, 2, 9}) {  // 9: the image may lie outside altogether
    recipe.pad = pad;
    const Shape shape{3, 4, 7};  // cut above and below, padded left and right
    std::vector<float> out(3 * 4 * 7);
    for (int s = 0; s < 50; ++s) {
      prepare_image(image, recipe, true, 1, 0, s, shape, out);
      const Draw d = draw_of(recipe, true, 1, 0, s, 6, 5, shape);
      for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < 4; ++y) {
          for (int x = 0; x < 7; ++x) {
            const int from_y = y - d.top, from_x = (d.flip ? 6 - x : x) - d.left;
            const bool inside = 0 <= from_y && from_y < 6 && 0 <= from_x && from_x < 5;
            const auto k = static_cast<std::size_t>(c);
            const double v = (2 * ((from_y * 5 + from_x) * 3 + c) / 255.0 - recipe.mean[k]) / recipe.deviation[k];
            ASSERT_NEAR(out[static_cast<std::size_t>((c * 4 + y) * 7 + x)], inside ? v : 0, 1e-5);
          }
        }
      }
    }
  }
}

TEST(PrepareImage, AFunctionOfSeedEpochAndSample) {
  Image image{3, 60, 80, {}, 0, {}};
  for (int i = 0; i < 3 * 60 * 80; ++i) image.pixels.push_back(static_cast<std::uint8_t>(i * 7919 % 251));
  for (const Augmentation kind : {Augmentation::PadCropFlip, Augmentation::RandomResizedCrop}) {
    Recipe recipe = recipe_of(DataKind::ImagenetFolder, kind);
    recipe.colours = {0.4, 0.1};
    const auto make = [&](bool augment, std::uint64_t seed, std::int64_t epoch, std::int64_t sample) {
      std::vector<float> out(3 * 32 * 32);
      prepare_image(image, recipe, augment, seed, epoch, sample, {3, 32, 32}, out);
      return out;
    };
    EXPECT_EQ(make(true, 1, 2, 3), make(true, 1, 2, 3));
    EXPECT_NE(make(true, 1, 2, 3), make(true, 2, 2, 3));
    EXPECT_NE(make(true, 1, 2, 3), make(true, 1, 3, 3));
    EXPECT_NE(make(true, 1, 2, 3), make(true, 1, 2, 4));
    EXPECT_EQ(make(false, 1, 2, 3), make(false, 2, 9, 8));
  }
}

// A picture whose left half is dark: where the draw says so, the right half of the result is.
TEST(PrepareImage, AFlippedCropIsTheMirrorImage) {
  Image image{3, 8, 8, {}, 0, {}};
  for (int i = 0; i < 192; ++i) image.pixels.push_back(i / 3 % 8 < 4 ? 0 : 255);
  Recipe recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
  recipe.least_area = recipe.least_aspect = recipe.most_aspect = 1;  // the whole image
  std::vector<float> out(192);
  for (int s = 0; s < 20; ++s) {
    prepare_image(image, recipe, true, 1, 0, s, {3, 8, 8}, out);
    EXPECT_EQ(out[0] > out[7], draw_of(recipe, true, 1, 0, s, 8, 8, {3, 8, 8}).flip) << s;
  }
}

TEST(PrepareImage, ColoursBecomeGreyOnlyWhereTheImageIs) {
  const Recipe recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
  std::vector<float> out(3 * 4 * 4);
  prepare_image(grey(9, 9, std::vector<std::uint8_t>(81, 51)), recipe, true, 1, 0, 0, {3, 4, 4},
                out);  // 51 / 255 = 0.2
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 16; ++i)
      EXPECT_NEAR(out[c * 16 + i], (0.2 - recipe.mean[c]) / recipe.deviation[c], 1e-5);
  }
}

std::vector<float> changed(const ColourNoise& noise, std::uint64_t seed, std::vector<float> rgb) {
  Rng rng(seed, "colours");
  change_colours(draw_colours(noise, rng), rgb.size() / 3, rgb);
  return rgb;
}

// Of an even grey the mean and the luma are the pixels themselves: brightness alone changes it, by up to 40 %.
TEST(Colours, JitterOfAnEvenGreyIsBrightness) {
  float least = 1000, most = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto out = changed({0.4, 0}, seed, std::vector<float>(12, 100));
    for (const float v : out) EXPECT_NEAR(v, out[0], 1e-4);
    least = std::min(least, out[0]);
    most = std::max(most, out[0]);
  }
  EXPECT_GE(least, 60 - 1e-3);
  EXPECT_LE(most, 140 + 1e-3);
  EXPECT_LT(least, 64);
  EXPECT_GT(most, 136);
}

TEST(Colours, LightingMovesEachPlaneAsAWhole) {
  const std::vector<float> in{10, 20, 30, 40, 50, 60};
  const auto out = changed({0, 0.1}, 5, in);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(out[2 * c] - in[2 * c], out[2 * c + 1] - in[2 * c + 1], 1e-4);
    EXPECT_NE(out[2 * c], in[2 * c]);
  }
  EXPECT_EQ(changed({0, 0}, 5, in), in);
}

}  // namespace
}  // namespace lockstep
