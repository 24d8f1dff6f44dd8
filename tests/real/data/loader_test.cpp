// Batches in order, the same for any number of threads; broken images; memory; leaving early.
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "real/data/loader.hpp"

namespace lockstep {
namespace {

using testing::HasSubstr;

std::vector<Batch> load(const Dataset& set, LoaderOptions options, bool training) {
  Loader loader(set, options);
  std::vector<Batch> out;
  for (int b = 0; b < 6; ++b) {
    BatchRequest r{b, 1, training, training, {}};
    for (int i = 0; i < b * b; ++i) r.samples.push_back(b * 7 + i);  // the first batch is empty
    loader.request(r);
  }
  EXPECT_EQ(loader.outstanding(), 6);
  for (int b = 0; b < 6; ++b) out.push_back(loader.next());
  EXPECT_EQ(loader.outstanding(), 0);
  return out;
}

TEST(Loader, TheSameBatchesForAnyNumberOfThreads) {
  const auto set = open_synthetic(100, Split::Training, {3, 16, 16}, 5, 9);
  for (const bool training : {true, false}) {
    LoaderOptions options;
    options.recipe = recipe_of(DataKind::Cifar10, Augmentation::Auto);
    options.shape = {3, 16, 16};
    options.threads = 0;
    const auto alone = load(*set, options, training);
    EXPECT_EQ(alone[5].labels.size(), 25u);
    for (const int threads : {1, 4}) {
      options.threads = threads;
      const auto other = load(*set, options, training);
      for (std::size_t b = 0; b < alone.size(); ++b) {
        EXPECT_EQ(other[b].id, static_cast<std::int64_t>(b));
        EXPECT_EQ(other[b].images, alone[b].images);
        EXPECT_EQ(other[b].labels, alone[b].labels);
      }
    }
  }
}

/// Of 500 grey images of 4 x 4 some are broken: every third, or from 100 on all.
class Fragile final : public Dataset {
 public:
  explicit Fragile(std::int64_t all_from = 500) : all_from_(all_from) {}
  std::int64_t size() const override { return 500; }
  int classes() const override { return 500; }
  std::string description() const override { return "fragile"; }
  void read(std::int64_t index, const WantedOf&, Image& out) const override {
    if (index % 3 == 0 || index >= all_from_) throw BrokenImage("image " + std::to_string(index) + ": premature end");
    if (index == 301) throw BackendError("the disk is gone");
    out = {1, 4, 4, std::vector<std::uint8_t>(16, static_cast<std::uint8_t>(index)), static_cast<int>(index), {}};
  }

 private:
  std::int64_t all_from_;
};

class Broken : public testing::TestWithParam<int> {
 protected:
  LoaderOptions options(OnBroken on_broken) const {
    LoaderOptions o;
    o.shape = {1, 4, 4};
    o.threads = GetParam();
    o.on_broken = on_broken;
    return o;
  }
  static std::string failure_of(Loader& loader) {
    try {
      loader.next();
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "";
  }
};
INSTANTIATE_TEST_SUITE_P(Threads, Broken, testing::Values(0, 1, 4));

TEST_P(Broken, TheFirstOfTheRequestIsNamed) {
  const Fragile set;
  for (int repeat = 0; repeat < 20; ++repeat) {
    Loader loader(set, options(OnBroken::Fail));
    loader.request({0, 0, true, true, {1, 2, 4, 9, 5, 3, 6, 12, 7, 8, 0}});
    loader.request({1, 0, true, true, {1}});
    EXPECT_THAT(failure_of(loader), HasSubstr("image 9: premature end"));
    EXPECT_EQ(loader.outstanding(), 1);
    EXPECT_THAT(loader.next().labels, testing::ElementsAre(1));  // the next request is not touched
  }
}

TEST_P(Broken, SkippedOnesAreReplacedInTrainingAndDoNotCountInEvaluation) {
  const Fragile set;
  Loader loader(set, options(OnBroken::Skip));
  loader.request({0, 0, true, true, {1, 3, 3, 6}});
  loader.request({1, 0, false, false, {1, 3}});
  EXPECT_THAT(loader.next().labels, testing::ElementsAre(1, 4, 4, 7));
  const Batch evaluation = loader.next();
  EXPECT_THAT(evaluation.labels, testing::ElementsAre(1, -1));
  EXPECT_THAT(std::vector(evaluation.images.begin() + 16, evaluation.images.end()), testing::Each(0));
  EXPECT_THAT(loader.broken(), testing::ElementsAre("image 3: premature end", "image 6: premature end"));
}

TEST_P(Broken, ALostDiskIsNotWalkedThrough) {
  const Fragile set(100);
  Loader loader(set, options(OnBroken::Skip));
  loader.request({0, 0, true, true, {99}});
  loader.request({1, 0, true, true, {450}});
  EXPECT_THAT(failure_of(loader), HasSubstr("100 images in a row cannot be read, the last is image 198"));
  EXPECT_THAT(loader.next().labels, testing::ElementsAre(1));  // 450 to 499, then 0, then 1
}

TEST_P(Broken, OtherErrorsComeThrough) {
  const Fragile set;
  Loader loader(set, options(OnBroken::Skip));
  loader.request({0, 0, true, true, {1, 301}});
  EXPECT_THROW(loader.next(), BackendError);
}

TEST(Loader, RecycledMemoryIsUsedAgain) {
  const auto set = open_synthetic(100, Split::Training, {3, 8, 8}, 5, 9);
  LoaderOptions options;
  options.shape = {3, 8, 8};
  Loader loader(*set, options);
  const float* memory = nullptr;
  for (int b = 0; b < 5; ++b) {
    loader.request({b, 0, true, true, {1, 2, 3}});
    Batch batch = loader.next();
    if (b > 0) {
      EXPECT_EQ(batch.images.data(), memory);
    }
    memory = batch.images.data();
    loader.recycle(std::move(batch));
  }
}

TEST(Loader, TheNumberOfRequestsIsBounded) {
  const auto set = open_synthetic(10, Split::Training, {1, 4, 4}, 2, 9);
  LoaderOptions options;
  options.shape = {1, 4, 4};
  options.depth = 2;
  Loader loader(*set, options);
  loader.request({0, 0, true, true, {1}});
  loader.request({1, 0, true, true, {1}});
  EXPECT_THROW(loader.request({2, 0, true, true, {1}}), InternalError);
  loader.next();
  loader.request({2, 0, true, true, {1}});
}

/// Takes 20 ms per image.
class Slow final : public Dataset {
 public:
  std::int64_t size() const override { return 1000; }
  int classes() const override { return 1; }
  std::string description() const override { return "slow"; }
  void read(std::int64_t, const WantedOf&, Image& out) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    out = {1, 4, 4, std::vector<std::uint8_t>(16), 0, {}};
  }
};

TEST(Loader, SaysHowLongItMadeTheStepWait) {
  const Slow set;
  LoaderOptions options;
  options.shape = {1, 4, 4};
  for (const int threads : {0, 2}) {
    options.threads = threads;
    Loader loader(set, options);
    EXPECT_EQ(loader.waited(), Time::zero());
    loader.request({0, 0, true, true, {1, 2}});
    loader.next();
    EXPECT_GE(loader.waited().seconds(), 0.010);
  }
}

// 10,000 images are outstanding, 200 s of reading; only those that are being read are waited for, 20 ms.
TEST(Loader, MayBeDroppedAtAnyTime) {
  const Slow set;
  LoaderOptions options;
  options.shape = {1, 4, 4};
  options.threads = 2;
  auto begin = std::chrono::steady_clock::now();
  {
    Loader loader(set, options);
    for (int b = 0; b < 20; ++b) loader.request({b, 0, true, true, std::vector<std::int64_t>(500, b)});
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    begin = std::chrono::steady_clock::now();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));  // a busy machine is slow, too
}

}  // namespace
}  // namespace lockstep
