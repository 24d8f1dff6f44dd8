// JPEG images that the test itself writes: kinds of colour, parts, shrinking, damage; a folder of them.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "real/data/jpeg/decode.hpp"
#include "real/data/loader.hpp"
#include "real/data/resample.hpp"
#include "tests/real/data/files.hpp"
#include "tests/real/data/jpeg_files.hpp"

namespace lockstep {
namespace {

using testing::HasSubstr;

using namespace test;

Image decoded(const std::string& bytes, const WantedOf& wanted = {}) {
  Image image;
  decode_jpeg(bytes, wanted, "test", image);
  return image;
}

std::string reason(const std::string& bytes, const WantedOf& wanted = {}) {
  try {
    decoded(bytes, wanted);
  } catch (const BrokenImage& e) {
    return e.what();
  }
  return "";
}

TEST(Jpeg, ColoursAndGreyBecomeThreeChannels) {
  for (const int components : {1, 3, 4}) {
    const Image image = decoded(encode(64, 48, {components}));
    ASSERT_EQ(image.c, 3);
    ASSERT_EQ(image.w, 64);
    ASSERT_EQ(image.h, 48);
    const auto at = [&](int y, int x, int c) {
      return int{image.pixels[static_cast<std::size_t>(3 * (y * 64 + x) + c)]};
    };
    for (const int x : {8, 32, 56}) {
      for (const int y : {8, 40}) {
        EXPECT_NEAR(at(y, x, 0), 255 * x / 64, 6) << components;
        EXPECT_NEAR(at(y, x, 1), components == 1 ? 255 * x / 64 : 255 * y / 48, 6) << components;
        EXPECT_NEAR(at(y, x, 2), components == 1 ? 255 * x / 64 : 128, 6) << components;
      }
    }
  }
}

// A part of 400 x 600 wanted as 90 x 90: half of it (200 x 300) is at least twice 90 in both directions, a quarter
// (100) is not.
TEST(Jpeg, ShrinksAsLongAsThePartKeepsTwiceItsPixels) {
  const std::string bytes = encode(1000, 500, {});
  const auto eighths = [&](Region part, int side) {
    return decoded(bytes, [&](int, int) { return Wanted{part, side, side}; }).view.eighths;
  };
  EXPECT_EQ(eighths({50, 100, 400, 600}, 90), 4);
  EXPECT_EQ(eighths({50, 100, 400, 600}, 100), 4);
  EXPECT_EQ(eighths({50, 100, 400, 600}, 101), 8);
  EXPECT_EQ(eighths({50, 100, 400, 600}, 20), 1);
  EXPECT_EQ(eighths({50, 100, 40, 60}, 90), 8);
}

// Whatever part is decoded and however it is shrunk, every pixel that resampling reaches is the one of a whole decode.
TEST(Jpeg, APartHasThePixelsOfTheWhole) {
  constexpr int kW = 203, kH = 157;
  Rng rng(2, "parts");
  for (const JpegKind& kind : {JpegKind{3, 2, false, true}, JpegKind{3, 1, false, true}, JpegKind{3, 2, true, true},
                               JpegKind{1, 1, false, true}, JpegKind{4, 1, false, true}}) {
    const std::string bytes = encode(kW, kH, kind);
    for (const int eighths : {8, 4, 2}) {
      const auto side = [&](int pixels) { return pixels * eighths / 16; };
      const Image whole = eighths == 8 ? decoded(bytes) : decoded(bytes, [&](int h, int w) {
        return Wanted{{0, 0, static_cast<double>(h), static_cast<double>(w)}, side(h), side(w)};
      });
      ASSERT_EQ(whole.view.eighths, eighths);
      ASSERT_EQ(whole.w, (kW * eighths + 7) / 8);
      for (int i = 0; i < 40; ++i) {
        const int h = 32 + static_cast<int>(rng.below(kH - 31)), w = 32 + static_cast<int>(rng.below(kW - 31));
        const Region part{static_cast<double>(rng.below(static_cast<std::uint64_t>(kH - h + 1))),
                          static_cast<double>(rng.below(static_cast<std::uint64_t>(kW - w + 1))),
                          static_cast<double>(h), static_cast<double>(w)};
        const Wanted wanted{part, eighths == 8 ? h : side(h), eighths == 8 ? w : side(w)};
        const Image image = decoded(bytes, [&](int, int) { return wanted; });
        ASSERT_EQ(image.view.eighths, eighths);
        const Region here = image.here(part);
        const int reach_y = resample_reach(here.height, wanted.out_h),
                  reach_x = resample_reach(here.width, wanted.out_w);
        const double scale = eighths / 8.0;
        const int top = std::max(0, static_cast<int>(std::floor(part.top * scale)) - reach_y);
        const int left = std::max(0, static_cast<int>(std::floor(part.left * scale)) - reach_x);
        const int bottom = std::min(whole.h, static_cast<int>(std::ceil((part.top + h) * scale)) + reach_y);
        const int right = std::min(whole.w, static_cast<int>(std::ceil((part.left + w) * scale)) + reach_x);
        ASSERT_TRUE(image.view.top <= top && image.view.left <= left && image.view.top + image.h >= bottom &&
                    image.view.left + image.w >= right);
        for (int y = top; y < bottom; ++y) {
          const auto row = [&](const Image& from) {
            return from.pixels.data() + 3 * ((y - from.view.top) * from.w + left - from.view.left);
          };
          ASSERT_TRUE(std::equal(row(image), row(image) + 3 * (right - left), row(whole)))
              << y << " of " << top << " to " << bottom << ", columns " << left << " to " << right << ", " << eighths;
        }
      }
    }
  }
}

TEST(Jpeg, CutAnywhereIsNamed) {
  for (const bool progressive : {false, true}) {
    const std::string bytes = encode(40, 40, {3, 2, progressive, true});
    const WantedOf top = [](int, int w) { return Wanted{{0, 0, 4, static_cast<double>(w)}, 4, w}; };
    for (std::size_t n = 0; n + 2 < bytes.size(); ++n) {  // the last two bytes say that it ends
      EXPECT_THAT(reason(bytes.substr(0, n)), testing::StartsWith("test: ")) << n;
      EXPECT_EQ(reason(bytes.substr(0, n), top) == "", false) << n;  // also where the part itself is whole
    }
  }
  EXPECT_THAT(reason("\x89PNG\r\n\x1a\n and more"), HasSubstr("starts with 0x89 0x50"));
}

TEST(Jpeg, HarmlessOdditiesAreLetPass) {
  const std::string bytes = encode(40, 40, {});
  std::string odd = bytes;
  odd.insert(odd.size() - 2, "xyz");  // between the pixels and the mark of the end
  EXPECT_EQ(decoded(odd).pixels, decoded(bytes).pixels);
  EXPECT_EQ(decoded(bytes + "what a camera adds").pixels, decoded(bytes).pixels);
}

// Height and width lie in the frame header (FF C0, length, precision, height, width), 5 bytes behind its mark.
TEST(Jpeg, AnImpossibleSizeIsDamage) {
  std::string bytes = encode(16, 16, {});
  const std::size_t frame = bytes.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  bytes.replace(frame + 5, 4, "\xff\x00\xff\x00", 4);
  EXPECT_THAT(reason(bytes), HasSubstr("65280 x 65280 pixels"));
}

TEST(Jpeg, AlteredBytesGiveAnImageOrAReason) {
  Rng rng(4, "flips");
  for (const JpegKind& kind : {JpegKind{}, JpegKind{3, 2, true}, JpegKind{1, 1}, JpegKind{4, 1}}) {
    const std::string bytes = encode(64, 64, kind);
    for (int i = 0; i < 500; ++i) {
      std::string altered = bytes;
      for (int k = 0; k < 3; ++k)
        altered[rng.below(altered.size())] ^= static_cast<char>(1 << rng.below(8));  // also in the headers
      const WantedOf part = [&](int h, int w) {
        return Wanted{{h / 4.0, w / 4.0, std::max(1.0, h / 2.0), std::max(1.0, w / 2.0)}, 16, 16};
      };
      Image image;
      try {
        decode_jpeg(altered, i % 2 == 0 ? WantedOf() : part, "altered", image);
        EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(3 * image.h * image.w));
      } catch (const BrokenImage&) {
      }
    }
  }
}

TEST_F(Files, ImageFolderFaults) {
  const auto spec_of = [&](std::int64_t images) { return spec(DataKind::ImagenetFolder, images); };
  EXPECT_THAT(refusal(spec_of(1)), testing::AllOf(HasSubstr("train: data.path: holds no folders"),
                                                  HasSubstr("val: data.path: holds no folders")));
  put("train/cat/a.JPEG", "x");
  put("val/dog/a.JPEG", "x");
  put("val/.ipynb_checkpoints/a.JPEG", "x");
  EXPECT_THAT(refusal(spec_of(1)),
              testing::AllOf(HasSubstr("train: data.path: has no folder \"dog\""),
                             HasSubstr("val: data.path: has no folder \"cat\"; expected the same classes")));
  std::filesystem::remove_all(directory_ / "val");
  put("val/cat/readme.txt", "x");
  put("val/cat/._a.jpg", "x");
  put("train/cat/b.jpg", "no jpeg");
  std::filesystem::create_directory(directory_ / "train/cat/c.jpeg");
  const auto set = open_dataset(spec_of(2), Split::Training, {3, 224, 224}, 1000, 1);
  ASSERT_EQ(set->size(), 3);
  Image image;
  for (const auto& [index, text] : {std::pair(0, "train/cat/a.JPEG: Premature end"),
                                    std::pair(1, "b.jpg: Not a JPEG file"), std::pair(2, "c.jpeg: cannot be read")}) {
    try {
      set->read(index, {}, image);
      ADD_FAILURE();
    } catch (const BrokenImage& e) {
      EXPECT_THAT(e.what(), HasSubstr(text));
    }
  }
  EXPECT_THAT(refusal(spec_of(1), 10, Split::Validation), HasSubstr("val/cat: data.path: holds no .JPEG"));
}

/// The batch that the loader makes of all images, in this order.
Batch loaded(const Dataset& set, int threads, bool training, Shape shape) {
  LoaderOptions options;
  options.recipe = recipe_of(DataKind::ImagenetFolder, Augmentation::Auto);
  options.shape = shape;
  options.threads = threads;
  Loader loader(set, options);
  BatchRequest request{0, 3, training, training, {}};
  for (std::int64_t i = 0; i < set.size(); ++i) request.samples.push_back(i);
  loader.request(request);
  return loader.next();
}

/// Where nothing is shrunk, decoding parts is but faster: the same as preparing the whole image.
void expect_as_from_whole_images(const Dataset& set, Shape shape) {
  for (const bool training : {true, false}) {
    const Batch batch = loaded(set, 0, training, shape);
    EXPECT_EQ(loaded(set, 4, training, shape).images, batch.images);
    const auto elements = static_cast<std::size_t>(shape.elements());
    std::vector<float> out(elements);
    Image image;
    for (std::int64_t i = 0; i < set.size(); ++i) {
      set.read(i, {}, image);
      EXPECT_EQ(batch.labels[static_cast<std::size_t>(i)], image.label);
      prepare_image(image, recipe_of(DataKind::ImagenetFolder, Augmentation::Auto), training, LoaderOptions().seed, 3,
                    i, shape, out);
      const float* got = batch.images.data() + static_cast<std::size_t>(i) * elements;
      double apart = 0;
      for (std::size_t k = 0; k < elements; ++k) apart = std::max(apart, std::abs(double{out[k]} - double{got[k]}));
      // Weights come from centres that were computed in other coordinates: they differ in the last bit of a float, of
      // values up to 255 / (255 x 0.224).
      EXPECT_LE(apart, 1e-5) << i;
    }
  }
}

TEST_F(Files, ImageFolderThroughTheLoader) {
  put("train/cat/a.JPEG", encode(90, 60, {}));
  put("train/cat/b.jpeg", encode(50, 70, {1, 1, false, true}));
  put("train/dog/c.JPG", encode(64, 64, {3, 2, true, true}));
  put("val/cat/a.JPEG", encode(90, 60, {}));
  put("val/dog/a.JPEG", encode(90, 60, {}));
  const auto set = open_dataset(spec(DataKind::ImagenetFolder, 3), Split::Training, {3, 48, 48}, 2, 1);
  EXPECT_EQ(set->classes(), 2);
  EXPECT_THAT(loaded(*set, 1, false, {3, 48, 48}).labels, testing::ElementsAre(0, 0, 1));
  expect_as_from_whole_images(*set, {3, 48, 48});
}

/// More cases where real photographs are at hand: LOCKSTEP_IMAGENET_SAMPLES names a folder of folders of JPEG files.
TEST_F(Files, RealPhotographs) {
  const char* folder = std::getenv("LOCKSTEP_IMAGENET_SAMPLES");
  if (folder == nullptr) GTEST_SKIP() << "LOCKSTEP_IMAGENET_SAMPLES is not set";
  for (const char* split : {"train", "val"})
    std::filesystem::create_directory_symlink(std::filesystem::absolute(folder), directory_ / split);
  const auto set = open_dataset(spec(DataKind::ImagenetFolder, 1), Split::Training, {3, 224, 224}, 1000, 1);
  expect_as_from_whole_images(*set, {3, 224, 224});
}

}  // namespace
}  // namespace lockstep
