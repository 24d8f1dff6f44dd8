// Readers, order, augmentation and loader, on files that the tests write.
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "real/data/augmentation.hpp"
#include "real/data/dataset.hpp"
#include "real/data/loader.hpp"
#include "real/data/order.hpp"
#include "real/data/resample.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
 protected:
  Files()
      : directory_(fs::path(testing::TempDir()) /
                   (std::string("data_") + testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~Files() override { fs::remove_all(directory_); }
  void put(const std::string& name, const std::string& bytes) const {
    fs::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  static std::string idx_header(std::initializer_list<int> dims) {
    std::string out{0, 0, 8, static_cast<char>(dims.size())};
    for (const int d : dims) {
      for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(d >> shift & 255);
    }
    return out;
  }
  /// Three images of 2 x 2: pixels 0 to 11; labels 1, 0, 2.
  void put_idx(const std::string& stem) const {
    std::string pixels;
    for (char p = 0; p < 12; ++p) pixels += p;
    put(stem + "-images-idx3-ubyte", idx_header({3, 2, 2}) + pixels);
    put(stem + "-labels-idx1-ubyte", idx_header({3}) + std::string{1, 0, 2});
  }
  DataSpec spec(const std::string& kind, std::int64_t images) const {
    DataSpec d;
    d.kind = kind;
    d.path = directory_.string();
    d.training_images = d.validation_images = images;
    return d;
  }
  std::string refusal(const DataSpec& data, int classes = 10) const {
    try {
      open_dataset(data, Split::Training, {3, 32, 32}, classes, 1);
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "";
  }
  fs::path directory_;
};

TEST_F(Files, IdxPlainAndPacked) {
  put_idx("train");
  const auto check = [&] {
    const auto set = open_dataset(spec("idx", 3), Split::Training, {3, 32, 32}, 10, 1);
    EXPECT_EQ(set->size(), 3);
    EXPECT_EQ(set->classes(), 3);
    Image image;
    set->read(1, 0, image);
    EXPECT_THAT(image.pixels, testing::ElementsAre(4, 5, 6, 7));
    EXPECT_EQ(image.label, 0);
    EXPECT_EQ(image.c, 1);
  };
  check();
  for (const std::string name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}) {
    std::ifstream in(directory_ / name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    gzFile packed = gzopen((directory_ / (name + ".gz")).c_str(), "wb");
    gzwrite(packed, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(packed);
    fs::remove(directory_ / name);
  }
  check();
  fs::resize_file(directory_ / "train-images-idx3-ubyte.gz", 30);
  EXPECT_THAT(refusal(spec("idx", 3)), HasSubstr("train-images-idx3-ubyte.gz"));
}

TEST_F(Files, IdxCutAnywhereIsRefused) {
  put_idx("train");
  const fs::path path = directory_ / "train-images-idx3-ubyte";
  std::ifstream in(path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (std::size_t n = 0; n < whole.size(); ++n) {
    put(path.filename().string(), whole.substr(0, n));
    EXPECT_NE(refusal(spec("idx", 3)), "") << n;
  }
  put(path.filename().string(), whole.substr(0, 20));
  EXPECT_THAT(refusal(spec("idx", 3)), HasSubstr("has 20 bytes, its header says 28"));
}

TEST_F(Files, EveryFaultOfIdxAtOnce) {
  put("train-images-idx3-ubyte", "this is text, not an idx file at all");
  const std::string text = refusal(spec("idx", 3));
  EXPECT_THAT(text, HasSubstr("it begins 74 68 69 73, expected 00 00 08 03"));
  EXPECT_THAT(text, HasSubstr("train-labels-idx1-ubyte: data.path: there is no such file"));
}

TEST_F(Files, WhatDoesNotFitTheRun) {
  put_idx("train");
  EXPECT_THAT(refusal(spec("idx", 4)), HasSubstr("data.training_images: 4 images, but there are 3"));
  EXPECT_THAT(refusal(spec("idx", 3), 2), HasSubstr("model.classes: the model tells 2 classes apart, but there are 3"));
  DataSpec wrong = spec("idx", 3);
  wrong.path += "/nowhere";
  EXPECT_THAT(refusal(wrong), HasSubstr("is not a directory"));
  wrong.path = "";
  EXPECT_THAT(refusal(wrong), HasSubstr("data.path: missing"));
  put("train-labels-idx1-ubyte", idx_header({2}) + std::string{1, 0});
  EXPECT_THAT(refusal(spec("idx", 3)), HasSubstr("2 labels for the 3 images"));
}

TEST_F(Files, Cifar) {
  std::string record(3073, '\0');
  record[0] = 7;
  record[1] = 10;                // red of the first pixel
  record[1 + 1024] = 20;         // green
  record[1 + 2048 + 1023] = 30;  // blue of the last
  for (int i = 1; i <= 5; ++i) put("data_batch_" + std::to_string(i) + ".bin", record + record);
  const auto set = open_dataset(spec("cifar10", 10), Split::Training, {3, 32, 32}, 10, 1);
  EXPECT_EQ(set->size(), 10);
  Image image;
  set->read(9, 0, image);
  EXPECT_EQ(image.label, 7);
  EXPECT_EQ(image.pixels[0], 10);
  EXPECT_EQ(image.pixels[1], 20);
  EXPECT_EQ(image.pixels.back(), 30);
  record[0] = 12;
  put("data_batch_2.bin", record);
  put("data_batch_3.bin", "short");
  fs::remove(directory_ / "data_batch_5.bin");
  const std::string text = refusal(spec("cifar10", 10));
  EXPECT_THAT(text, HasSubstr("record 0 has label 12; expected 0 to 9"));
  EXPECT_THAT(text, HasSubstr("has 5 bytes; expected a multiple of 3073"));
  EXPECT_THAT(text, HasSubstr("data_batch_5.bin: data.path: there is no such file"));
}

TEST_F(Files, ImageFolderFaults) {
  EXPECT_THAT(refusal(spec("imagenet_folder", 1)), HasSubstr("holds no folders"));
  put("train/cat/a.JPEG", "x");
  put("val/dog/a.JPEG", "x");
  EXPECT_THAT(refusal(spec("imagenet_folder", 1)), HasSubstr("only one of them has \"cat\""));
  fs::remove_all(directory_ / "val");
  put("val/cat/readme.txt", "x");
  put("train/cat/b.jpg", "no jpeg");
  const auto set = open_dataset(spec("imagenet_folder", 2), Split::Training, {3, 224, 224}, 1000, 1);
  Image image;
  EXPECT_THROW(set->read(1, 224, image), BrokenImage);
  try {
    set->read(0, 224, image);
  } catch (const BrokenImage& e) {
    EXPECT_THAT(e.what(), HasSubstr("train/cat/a.JPEG"));
  }
  EXPECT_THROW(open_dataset(spec("imagenet_folder", 1), Split::Validation, {3, 224, 224}, 1000, 1), ConfigError);
}

TEST(FashionMnist, MeanAndDeviationOfTheRealImages) {
  DataSpec d;
  d.kind = "idx";
  d.path = "/usr/share/datasets/fashion-mnist";
  d.training_images = 60000;
  if (!fs::exists(d.path)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const auto set = open_dataset(d, Split::Training, {3, 32, 32}, 10, 1);
  double sum = 0, squares = 0, count = 0;
  std::vector<int> labels(10);
  Image image;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    set->read(i, 0, image);
    ++labels[static_cast<std::size_t>(image.label)];
    for (const auto p : image.pixels) {
      sum += p / 255.0;
      squares += p / 255.0 * p / 255.0;
      ++count;
    }
  }
  const Recipe recipe = recipe_of("idx", "auto");
  EXPECT_NEAR(sum / count, recipe.mean[0], 1e-4);
  EXPECT_NEAR(std::sqrt(squares / count - sum / count * sum / count), recipe.deviation[0], 1e-4);
  EXPECT_THAT(labels, testing::Each(6000));
}

TEST(EpochOrder, APermutationThatDependsOnSeedAndEpoch) {
  for (const std::int64_t n : {0, 1, 2, 1000}) {
    auto order = epoch_order(3, 5, n);
    std::sort(order.begin(), order.end());
    std::vector<std::int32_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(order, all);
  }
  EXPECT_EQ(epoch_order(3, 5, 1000), epoch_order(3, 5, 1000));
  EXPECT_NE(epoch_order(3, 5, 1000), epoch_order(3, 6, 1000));
  EXPECT_NE(epoch_order(3, 5, 1000), epoch_order(4, 5, 1000));
}

Image grey(int h, int w, std::vector<std::uint8_t> pixels) { return {1, h, w, std::move(pixels), 0}; }

// Shrinking 4 pixels to 2: each output pixel is centred between two inputs, the filter reaches 2 pixels to both sides: weights 0.25, 0.75, 0.75, 0.25 of 2,
// cut at the edge: (0.75 a + 0.75 b + 0.25 c) / 1.75.
TEST(Resample, ByHand) {
  const Image row = grey(1, 4, {0, 100, 200, 40});
  std::vector<float> out;
  resample(row, {0, 0, 1, 4}, 1, 2, out);
  EXPECT_NEAR(out[0], (0.75 * 0 + 0.75 * 100 + 0.25 * 200) / 1.75, 1e-3);
  EXPECT_NEAR(out[1], (0.25 * 100 + 0.75 * 200 + 0.75 * 40) / 1.75, 1e-3);
  resample(row, {0, 0, 1, 4}, 1, 4, out);  // the same size: the same pixels
  EXPECT_THAT(out, testing::ElementsAre(0, 100, 200, 40));
  resample(row, {0, 0, 1, 2}, 1, 4, out);  // twice the size of the left half: 0, 25, 75, and (between 100 and 200) 125
  EXPECT_NEAR(out[1], 25, 1e-3);
  EXPECT_NEAR(out[2], 75, 1e-3);
}

TEST(Resample, AConstantImageStaysConstant) {
  Image image{3, 37, 53, std::vector<std::uint8_t>(3 * 37 * 53, 77), 0};
  std::vector<float> out;
  for (const Region& region : {Region{0, 0, 37, 53}, Region{3, 5, 2, 2}, Region{10.5, 7.25, 20.1, 40.7}}) {
    resample(image, region, 24, 24, out);
    for (const float v : out) ASSERT_NEAR(v, 77, 1e-3);
  }
}

TEST(PrepareImage, GreyIsPaddedRepeatedAndNormalised) {
  Recipe recipe = recipe_of("idx", "none");
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

TEST(PrepareImage, AFunctionOfSeedEpochAndSample) {
  Image image{3, 60, 80, {}, 0};
  for (int i = 0; i < 3 * 60 * 80; ++i) image.pixels.push_back(static_cast<std::uint8_t>(i * 7919 % 251));
  for (const std::string kind : {"pad_crop_flip", "random_resized_crop"}) {
    const Recipe recipe = recipe_of("imagenet_folder", kind);
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

// A picture whose left half is dark: a flip shows in which side of the result is brighter.
TEST(PrepareImage, AboutHalfAreFlipped) {
  Image image = grey(8, 8, {});
  for (int i = 0; i < 64; ++i) image.pixels.push_back(i % 8 < 4 ? 0 : 255);
  Recipe recipe = recipe_of("idx", "auto");
  recipe.pad = 0;
  int flipped = 0;
  std::vector<float> out(64);
  for (int s = 0; s < 1000; ++s) {
    prepare_image(image, recipe, true, 1, 0, s, {1, 8, 8}, out);
    flipped += out[0] > out[7];
  }
  EXPECT_NEAR(flipped, 500, 5 * std::sqrt(250));  // five deviations of a fair coin
}

std::vector<Batch> load(const Dataset& set, LoaderOptions options, bool training) {
  Loader loader(set, options);
  std::vector<Batch> out;
  for (int b = 0; b < 6; ++b) {
    BatchRequest r;
    r.id = b;
    r.epoch = 1;
    r.training = r.augment = training;
    for (int i = 0; i < b; ++i) r.samples.push_back(b * 7 + i);  // the first batch is empty
    loader.request(r);
  }
  EXPECT_EQ(loader.outstanding(), 6);
  for (int b = 0; b < 6; ++b) out.push_back(loader.next());
  return out;
}

TEST(Loader, TheSameBatchesForAnyNumberOfThreads) {
  const auto set = open_synthetic(100, Split::Training, {3, 16, 16}, 5, 9);
  LoaderOptions options;
  options.recipe = recipe_of("cifar10", "auto");
  options.shape = {3, 16, 16};
  options.threads = 0;
  const auto alone = load(*set, options, true);
  for (const int threads : {1, 3}) {
    options.threads = threads;
    const auto other = load(*set, options, true);
    for (std::size_t b = 0; b < alone.size(); ++b) {
      EXPECT_EQ(other[b].id, static_cast<std::int64_t>(b));
      EXPECT_EQ(other[b].images, alone[b].images);
      EXPECT_EQ(other[b].labels, alone[b].labels);
    }
  }
}

/// Every third image is broken.
class Fragile final : public Dataset {
 public:
  std::int64_t size() const override { return 50; }
  int classes() const override { return 50; }
  std::string description() const override { return "fragile"; }
  void read(std::int64_t index, int, Image& out) const override {
    if (index % 3 == 0) throw BrokenImage("image " + std::to_string(index) + ": premature end");
    out = grey(4, 4, std::vector<std::uint8_t>(16, static_cast<std::uint8_t>(index)));
    out.label = static_cast<int>(index);
  }
};

TEST(Loader, BrokenImages) {
  LoaderOptions options;
  options.shape = {1, 4, 4};
  options.threads = 2;
  const Fragile set;
  {
    Loader loader(set, options);
    loader.request({0, 0, true, true, {1, 3}});
    try {
      loader.next();
      FAIL();
    } catch (const ConfigError& e) {
      EXPECT_THAT(e.what(), HasSubstr("image 3: premature end"));
    }
  }
  options.on_broken = OnBroken::Skip;
  Loader loader(set, options);
  loader.request({0, 0, true, true, {1, 3, 3}});
  loader.request({1, 0, false, false, {1, 3}});
  EXPECT_THAT(loader.next().labels, testing::ElementsAre(1, 4, 4));  // the next one that can be read
  EXPECT_THAT(loader.next().labels, testing::ElementsAre(1, -1));    // not counted
  EXPECT_THAT(loader.broken(), testing::ElementsAre("image 3: premature end"));
}

TEST(Loader, MayBeDroppedAtAnyTime) {
  const auto set = open_synthetic(1000, Split::Training, {3, 32, 32}, 5, 9);
  LoaderOptions options;
  options.shape = {3, 32, 32};
  options.threads = 2;
  Loader loader(*set, options);
  for (int b = 0; b < 20; ++b) loader.request({b, 0, true, true, std::vector<std::int64_t>(40, b)});
}

}  // namespace
}  // namespace lockstep
