#include "real/cuda/network/algorithm_cache.hpp"

#include <gtest/gtest.h>

namespace lockstep::cuda {
namespace {

constexpr const char* kHere = "cuDNN 91900, NVIDIA H200";

TEST(AlgorithmCache, TextReadsBackEqual) {
  AlgorithmCache cache(kHere), copy(kHere);
  const AlgorithmChoice measured{1, 1, 123456789, 0.1f}, guessed{6, 3, 0, -1};
  cache.insert("forward n256 c64 56x56", measured);
  cache.insert("data n256 c64 56x56", guessed);
  ASSERT_TRUE(copy.merge(cache.text())) << cache.text();
  EXPECT_EQ(copy.find("forward n256 c64 56x56"), measured);
  EXPECT_EQ(copy.find("data n256 c64 56x56"), guessed);
  EXPECT_EQ(copy.find("weights n256 c64 56x56"), std::nullopt);
  EXPECT_EQ(copy.text(), cache.text());
}

TEST(AlgorithmCache, RefusesAnotherEnvironmentAndWhatIsNotItsText) {
  AlgorithmCache cache(kHere), other("cuDNN 8907, Tesla V100");
  cache.insert("p", {1, 1, 2, 3});
  EXPECT_FALSE(other.merge(cache.text()));
  const std::string title = AlgorithmCache(kHere).text();
  for (const char* line : {"p 1 1 2 3", "p\t1 1 2", "p\t1 1 2 3 4", "p\tone 1 2 3", "\t1 1 2 3", ""})
    EXPECT_FALSE(other.merge(title + line + "\n")) << line;
  AlgorithmCache here(kHere);
  EXPECT_FALSE(here.merge(title + "good\t1 1 2 3\nbad\n"));
  EXPECT_EQ(here.size(), 0u) << "nothing of a faulty text is taken";
  EXPECT_FALSE(here.merge(""));
}

TEST(AlgorithmCache, MergingKeepsWhatTheTextDoesNotName) {
  AlgorithmCache cache(kHere), more(kHere);
  cache.insert("a", {1, 1, 2, 3});
  more.insert("b", {4, 1, 2, 3});
  more.insert("a", {5, 1, 2, 3});
  ASSERT_TRUE(cache.merge(more.text()));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(cache.find("a")->algorithm, 5);
}

}  // namespace
}  // namespace lockstep::cuda
