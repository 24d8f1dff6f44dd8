// Readers on files that the tests write, whole and damaged; the real Fashion-MNIST where it is installed.
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/rng.hpp"
#include "real/data/augmentation.hpp"
#include "tests/real/data/files.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void pack(const fs::path& path, const std::string& bytes) {
  gzFile packed = gzopen(path.c_str(), "wb");
  gzwrite(packed, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(packed);
}

TEST_F(Files, IdxPlainAndPacked) {
  put_idx("train");
  const auto check = [&] {
    const auto set = open_dataset(spec(DataKind::Idx, 3), Split::Training, {3, 32, 32}, 10, 1);
    EXPECT_EQ(set->size(), 3);
    EXPECT_EQ(set->classes(), 3);
    Image image;
    set->read(1, {}, image);
    EXPECT_THAT(image.pixels, testing::ElementsAre(4, 5, 6, 7));
    EXPECT_EQ(image.label, 0);
    EXPECT_EQ(image.c, 1);
  };
  check();
  for (const std::string name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}) {
    pack(directory_ / (name + ".gz"), get(name));
    fs::remove(directory_ / name);
  }
  check();
}

TEST_F(Files, ShrunkImagesAreMeansOfSquares) {
  // Second image: 4 5 / 6 7, mean 5.5, rounded half up.
  put_idx("train");
  DataSpec data = spec(DataKind::Idx, 3);
  data.shrink = 2;
  const auto set = open_dataset(data, Split::Training, {3, 1, 1}, 10, 1);
  EXPECT_EQ(set->size(), 3);
  EXPECT_THAT(set->description(), HasSubstr("averaged over 2 x 2 pixels"));
  Image image;
  set->read(1, {}, image);
  EXPECT_EQ(image.h, 1);
  EXPECT_EQ(image.w, 1);
  EXPECT_EQ(image.label, 0);
  EXPECT_THAT(image.pixels, testing::ElementsAre(6));
}

/// One image of 3 x 5 pixels in 2 channels.
class Coloured final : public Dataset {
 public:
  std::int64_t size() const override { return 1; }
  int classes() const override { return 1; }
  std::string description() const override { return "one"; }
  void read(std::int64_t, const WantedOf&, Image& out) const override {
    out = {2, 3, 5, {}, 0, {}};
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < 5; ++x) {
        out.pixels.push_back(static_cast<std::uint8_t>(10 * y + x));
        out.pixels.push_back(255);
      }
    }
  }
};

TEST(Shrunk, ChannelsApartAndTheRestLeftOut) {
  // Of 3 x 5 two squares remain: 0 1 / 10 11 and 2 3 / 12 13: means 5.5 and 7.5.
  Image image;
  shrunk(std::make_unique<Coloured>(), 2)->read(0, {}, image);
  EXPECT_EQ(image.h, 1);
  EXPECT_EQ(image.w, 2);
  EXPECT_THAT(image.pixels, testing::ElementsAre(6, 255, 8, 255));
  // One square of 3 x 3: (0 + 1 + 2 + 10 + 11 + 12 + 20 + 21 + 22) / 9 = 11.
  shrunk(std::make_unique<Coloured>(), 3)->read(0, {}, image);
  EXPECT_THAT(image.pixels, testing::ElementsAre(11, 255));
  EXPECT_THROW(shrunk(std::make_unique<Coloured>(), 4)->read(0, {}, image), ConfigError);
}

TEST_F(Files, IdxCutAnywhereIsRefused) {
  for (const std::string part : {"-images-idx3-ubyte", "-labels-idx1-ubyte"}) {
    put_idx("train");
    const std::string name = "train" + part, whole = get(name);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      put(name, whole.substr(0, n));
      EXPECT_THAT(refusal(spec(DataKind::Idx, 3)), HasSubstr(name)) << n;
    }
    fs::remove(directory_ / name);
    pack(directory_ / (name + ".gz"), whole);
    const std::string packed = get(name + ".gz");
    for (std::size_t n = 0; n < packed.size(); ++n) {
      put(name + ".gz", packed.substr(0, n));
      EXPECT_THAT(refusal(spec(DataKind::Idx, 3)), HasSubstr(name + ".gz")) << n;
    }
    fs::remove(directory_ / (name + ".gz"));
  }
  put_idx("train");
  put("train-images-idx3-ubyte", idx_header({60000, 28, 28}) + std::string(1218, 'x'));
  // 16 + 60,000 x 28 x 28 = 47,040,016.
  EXPECT_THAT(refusal(spec(DataKind::Idx, 3)), HasSubstr("has 1,234 bytes, its header says 47,040,016"));
}

TEST_F(Files, AlteredIdxHeadersAreRefusedOrRead) {
  put_idx("train");
  const std::string whole = get("train-images-idx3-ubyte");
  for (std::size_t i = 0; i < 16; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string altered = whole;
      altered[i] = static_cast<char>(altered[i] ^ 1 << bit);
      put("train-images-idx3-ubyte", altered);
      EXPECT_NE(refusal(spec(DataKind::Idx, 3)), "") << i << " " << bit;  // no other header fits the length
    }
  }
  put("train-images-idx3-ubyte", idx_header({0, 2, 2}));
  put("train-labels-idx1-ubyte", idx_header({0}));
  EXPECT_THAT(refusal(spec(DataKind::Idx, 0)), HasSubstr("holds no images"));
  put("train-images-idx3-ubyte", idx_header({-1, -1, -1}));
  EXPECT_THAT(refusal(spec(DataKind::Idx, 0)), HasSubstr("more than 1 TiB"));
}

TEST_F(Files, EveryFaultOfIdxAtOnce) {
  put("train-images-idx3-ubyte", "this is text, not an idx file at all");
  const std::string text = refusal(spec(DataKind::Idx, 3));
  EXPECT_THAT(text, HasSubstr("it begins 74 68 69 73, expected 00 00 08 03"));
  EXPECT_THAT(text, HasSubstr("train-labels-idx1-ubyte: data.path: there is no such file"));
  EXPECT_THAT(refusal(spec(DataKind::Idx, 3), 10, Split::Validation), HasSubstr("t10k-images-idx3-ubyte"));
}

TEST_F(Files, WhatDoesNotFitTheRun) {
  put_idx("train");
  EXPECT_EQ(refusal(spec(DataKind::Idx, 3), 3), "");
  const std::string both = refusal(spec(DataKind::Idx, 4), 2);
  EXPECT_THAT(both, HasSubstr("data.training_images: 4 images, but there are 3"));
  EXPECT_THAT(both, HasSubstr("model.classes: the model tells 2 classes apart, but there are 3"));
  DataSpec wrong = spec(DataKind::Idx, 3);
  wrong.path += "/nowhere";
  EXPECT_THAT(refusal(wrong), HasSubstr("is not a directory"));
  wrong.path = "";
  EXPECT_THAT(refusal(wrong), HasSubstr("data.path: missing"));
  put("train-labels-idx1-ubyte", idx_header({2}) + std::string{1, 0});
  EXPECT_THAT(refusal(spec(DataKind::Idx, 3)), HasSubstr("2 labels for the 3 images"));
}

TEST_F(Files, Cifar) {
  std::string record(3073, '\0');
  record[0] = 7;
  record[1] = 10;                // red of the first pixel
  record[1 + 1024] = 20;         // green
  record[1 + 2048 + 1023] = 30;  // blue of the last
  for (int i = 1; i <= 5; ++i) put("data_batch_" + std::to_string(i) + ".bin", record + record);
  const auto set = open_dataset(spec(DataKind::Cifar10, 10), Split::Training, {3, 32, 32}, 10, 1);
  EXPECT_EQ(set->size(), 10);
  Image image;
  set->read(9, {}, image);
  EXPECT_EQ(image.label, 7);
  EXPECT_EQ(image.pixels[0], 10);
  EXPECT_EQ(image.pixels[1], 20);
  EXPECT_EQ(image.pixels.back(), 30);
  EXPECT_THAT(refusal(spec(DataKind::Cifar10, 10), 10, Split::Validation), HasSubstr("test_batch.bin"));
  record[0] = 12;
  put("data_batch_2.bin", record);
  put("data_batch_3.bin", "short");
  fs::remove(directory_ / "data_batch_5.bin");
  const std::string text = refusal(spec(DataKind::Cifar10, 10));
  EXPECT_THAT(text, HasSubstr("record 0 has label 12; expected 0 to 9"));
  EXPECT_THAT(text, HasSubstr("has 5 bytes; expected a multiple of 3,073"));
  EXPECT_THAT(text, HasSubstr("data_batch_5.bin: data.path: there is no such file"));
}

TEST(Synthetic, AFunctionOfSeedAndIndex) {
  const Shape shape{3, 16, 16};
  const auto a = open_synthetic(50, Split::Training, shape, 5, 9),
             same = open_synthetic(50, Split::Training, shape, 5, 9),
             other = open_synthetic(50, Split::Training, shape, 5, 10),
             validation = open_synthetic(50, Split::Validation, shape, 5, 9);
  Image x, y;
  std::set<int> labels;
  for (int i = 49; i >= 0; --i) {
    a->read(i, {}, x);
    labels.insert(x.label);
    same->read(i, {}, y);
    EXPECT_EQ(x.pixels, y.pixels);
    EXPECT_EQ(x.label, y.label);
    other->read(i, {}, y);
    EXPECT_NE(x.pixels, y.pixels);
    validation->read(i, {}, y);
    EXPECT_NE(x.pixels, y.pixels);
  }
  EXPECT_THAT(labels, testing::ElementsAre(0, 1, 2, 3, 4));
}

// Without the noise (a mean over many images) no two of 20 classes look alike.
TEST(Synthetic, ClassesDiffer) {
  constexpr int kClasses = 20, kImages = 4000, kPixels = 3 * 16 * 16;
  const auto set = open_synthetic(kImages, Split::Training, {3, 16, 16}, kClasses, 1);
  std::vector<std::vector<double>> mean(kClasses, std::vector<double>(kPixels));
  std::vector<double> count(kClasses);
  Image image;
  for (int i = 0; i < kImages; ++i) {
    set->read(i, {}, image);
    const auto label = static_cast<std::size_t>(image.label);
    ++count[label];
    for (std::size_t p = 0; p < kPixels; ++p) mean[label][p] += image.pixels[p];
  }
  // Noise of 0 to 127 has a deviation of 37; a pixel's mean over at least 100 images one of 3.7 (the shift of the
  // pattern adds up to 48): less than 6 on average. Where gratings or colours differ, a third of the pixels and more
  // are 20 apart.
  for (std::size_t a = 0; a < kClasses; ++a) {
    ASSERT_GT(count[a], 100);
    for (std::size_t b = 0; b < a; ++b) {
      double apart = 0;
      for (std::size_t p = 0; p < kPixels; ++p)
        apart = std::max(apart, std::abs(mean[a][p] / count[a] - mean[b][p] / count[b]));
      EXPECT_GT(apart, 8 * 3.7) << a << " and " << b;
    }
  }
}

TEST(FashionMnistSlow, MeanAndDeviationOfTheRealImages) {
  DataSpec d;
  d.kind = DataKind::Idx;
  d.path = "/usr/share/datasets/fashion-mnist";
  d.training_images = 60000;
  if (!fs::exists(d.path)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const auto set = open_dataset(d, Split::Training, {3, 32, 32}, 10, 1);
  EXPECT_THAT(set->description(), testing::StartsWith("60,000 images of 28 x 28 in "));
  double sum = 0, squares = 0, count = 0;
  std::vector<int> labels(10);
  Image image;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    set->read(i, {}, image);
    ++labels[static_cast<std::size_t>(image.label)];
    for (const auto p : image.pixels) {
      sum += p / 255.0;
      squares += p / 255.0 * p / 255.0;
      ++count;
    }
  }
  const Recipe recipe = recipe_of(DataKind::Idx, Augmentation::Auto);
  EXPECT_NEAR(sum / count, recipe.mean[0], 1e-4);
  EXPECT_NEAR(std::sqrt(squares / count - sum / count * sum / count), recipe.deviation[0], 1e-4);
  EXPECT_THAT(labels, testing::Each(6000));
}

}  // namespace
}  // namespace lockstep
