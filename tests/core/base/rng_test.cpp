#include "core/base/rng.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

namespace lockstep {
namespace {

TEST(Rng, StreamsAreFixedByTheirNames) {
  Rng a(7, "jitter", 3), b(7, "jitter", 3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next_u64(), b.next_u64());
}

TEST(Rng, OtherSeedPurposeOrIndexIsAnotherStream) {
  std::set<std::uint64_t> first;
  for (const auto& rng : {Rng(7, "jitter", 3), Rng(8, "jitter", 3), Rng(7, "spread", 3), Rng(7, "jitter", 4)}) {
    Rng copy = rng;
    first.insert(copy.next_u64());
  }
  EXPECT_EQ(first.size(), 4u);
}

TEST(Rng, NormalHasItsMoments) {
  // Mean of n draws has sigma 1 / sqrt(n) = 0.003, the variance sigma sqrt(2 / n) = 0.0045; five sigma.
  Rng rng(1, "test");
  constexpr int n = 100000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0, 0.016);
  EXPECT_NEAR(squares / n, 1, 0.023);
}

TEST(Rng, BelowIsUniform) {
  // 60,000 draws over 6 values: 10,000 each with sigma 91; five sigma.
  Rng rng(2, "test");
  int counts[6] = {};
  for (int i = 0; i < 60000; ++i) ++counts[rng.below(6)];
  for (int c : counts) EXPECT_NEAR(c, 10000, 456);
}

TEST(Digest, OrderAndContentMatter) {
  Digest a, b, c;
  a.add(std::uint64_t{1});
  a.add(std::uint64_t{2});
  b.add(std::uint64_t{2});
  b.add(std::uint64_t{1});
  c.add(std::uint64_t{1});
  c.add(std::uint64_t{2});
  EXPECT_NE(a.value(), b.value());
  EXPECT_EQ(a.value(), c.value());
  EXPECT_EQ(a.text().size(), 16u);
}

TEST(Error, NearestWord) {
  const std::vector<std::string> words = {"global_batch", "epochs", "precision"};
  EXPECT_EQ(nearest("global_bach", words), "global_batch");
  EXPECT_EQ(nearest("epoch", words), "epochs");
  EXPECT_EQ(nearest("zebra", words), "");
}

TEST(Error, AllFaultsInOneMessage) {
  const ConfigError e({{"run.toml:1:2", "a.b", "first"}, {"run.toml:3:4", "", "second"}});
  EXPECT_STREQ(e.what(), "run.toml:1:2: a.b: first\nrun.toml:3:4: second");
}

TEST(Error, ExpectationNamesThePlace) {
  try {
    LOCKSTEP_EXPECTS(1 + 1 == 3);
    FAIL();
  } catch (const InternalError& e) {
    EXPECT_NE(std::string(e.what()).find("expected 1 + 1 == 3"), std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep
