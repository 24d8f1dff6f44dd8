// JPEG images that the test itself writes: kinds of colour, shrinking, damage.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <jpeglib.h>
#include <cstdio>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "real/data/jpeg/decode.hpp"

namespace lockstep {
namespace {

/// A smooth picture: red grows to the right, green downwards, blue is half. Grey: the right-hand ramp alone.
std::vector<char> encode(int w, int h, int components) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<unsigned>(w);
  info.image_height = static_cast<unsigned>(h);
  info.input_components = components;
  info.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  jpeg_start_compress(&info, TRUE);
  std::vector<unsigned char> row(static_cast<std::size_t>(w * components));
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      unsigned char* p = row.data() + x * components;
      const auto right = static_cast<unsigned char>(255 * x / w), down = static_cast<unsigned char>(255 * y / h);
      if (components == 1) p[0] = right;
      if (components >= 3) {
        p[0] = right;
        p[1] = down;
        p[2] = 128;
      }
      if (components == 4) p[3] = 255;  // Adobe's inverted black: none
    }
    JSAMPROW rows[1] = {row.data()};
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  std::vector<char> out(memory, memory + size);
  jpeg_destroy_compress(&info);
  std::free(memory);
  return out;
}

TEST(Jpeg, ColoursAndGreyBecomeThreeChannels) {
  for (const int components : {1, 3, 4}) {
    Image image;
    decode_jpeg(encode(64, 48, components), 0, "test", image);
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

// 640 x 400 for a target of 90 pixels: the shorter side must keep 180, so half (200) is enough, a quarter (100) is not.
TEST(Jpeg, ShrinksWhileDecoding) {
  const auto bytes = encode(640, 400, 3);
  Image image;
  decode_jpeg(bytes, 90, "test", image);
  EXPECT_EQ(image.w, 320);
  EXPECT_EQ(image.h, 200);
  decode_jpeg(bytes, 250, "test", image);
  EXPECT_EQ(image.w, 640);
}

TEST(Jpeg, CutAnywhereIsNamed) {
  const auto bytes = encode(40, 30, 3);
  Image image;
  for (std::size_t n = 0; n + 2 < bytes.size(); n += 7) {
    EXPECT_THROW(decode_jpeg(std::span(bytes).first(n), 0, "cut.JPEG", image), BrokenImage) << n;
  }
  try {
    decode_jpeg(std::span(bytes).first(bytes.size() / 2), 0, "cut.JPEG", image);
  } catch (const BrokenImage& e) {
    EXPECT_THAT(e.what(), testing::StartsWith("cut.JPEG: "));
  }
  const std::string png = "\x89PNG\r\n\x1a\n and more";
  EXPECT_THROW(decode_jpeg(png, 0, "a.JPEG", image), BrokenImage);
}

TEST(Jpeg, AlteredBytesGiveAnImageOrAReason) {
  const auto bytes = encode(64, 64, 3);
  Rng rng(4, "flips");
  for (int i = 0; i < 500; ++i) {
    auto altered = bytes;
    for (int k = 0; k < 3; ++k)
      altered[rng.below(altered.size() - 200) + 160] ^=
          static_cast<char>(1 << rng.below(8));  // behind the frame's size
    Image image;
    try {
      decode_jpeg(altered, 0, "altered", image);
    } catch (const BrokenImage&) {
    }
  }
}

/// More cases where real photographs are at hand: LOCKSTEP_IMAGENET_SAMPLES names a folder of folders of JPEG files.
TEST(Jpeg, RealPhotographs) {
  const char* folder = std::getenv("LOCKSTEP_IMAGENET_SAMPLES");
  if (folder == nullptr) GTEST_SKIP() << "LOCKSTEP_IMAGENET_SAMPLES is not set";
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".JPEG" && entry.path().extension() != ".jpg") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    Image image;
    EXPECT_NO_THROW(decode_jpeg(bytes, 224, entry.path().string(), image)) << entry.path();
    ++count;
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace lockstep
