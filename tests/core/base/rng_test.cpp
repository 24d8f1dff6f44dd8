#include "core/base/rng.hpp"

#include <Random123/philox.h>
#include <gtest/gtest.h>

#include <array>
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

TEST(Rng, PhiloxGivesItsPublishedVectors) {
  // philox4x32-10 of the known-answer file of Random123 (kat_vectors): zeros, ones, digits of pi.
  using Philox = r123::Philox4x32;
  const auto words = [](const Philox::ctr_type& c) { return std::array<std::uint32_t, 4>{c[0], c[1], c[2], c[3]}; };
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(words(Philox()({{0, 0, 0, 0}}, {{0, 0}})), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(Philox()({{~0u, ~0u, ~0u, ~0u}}, {{~0u, ~0u}})),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(Philox()({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, {{0xa4093822, 0x299f31d0}})),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, AStreamIsPhiloxOfItsKeyAndCounter) {
  // The key is the seed xor the digest of the purpose: this seed makes it zero, so the first block is the vector above.
  Digest purpose;
  purpose.add("test");
  Rng rng(purpose.value(), "test");
  for (std::uint32_t expected : {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u})
    EXPECT_EQ(rng.next_u32(), expected);
  // Then the block counter moves on, and the index fills the upper half of the counter.
  EXPECT_EQ(rng.next_u32(), r123::Philox4x32()({{1, 0, 0, 0}}, {{0, 0}})[0]);
  Rng other(purpose.value(), "test", 0x0000000500000003);
  EXPECT_EQ(other.next_u32(), r123::Philox4x32()({{0, 0, 3, 5}}, {{0, 0}})[0]);
}

TEST(Rng, StreamsAreUncorrelated) {
  // Mean of 20,000 products of centred uniforms: sigma 1/12 / sqrt(20000) = 5.9e-4; five sigma.
  const auto correlation = [](Rng a, Rng b) {
    double sum = 0;
    for (int i = 0; i < 20000; ++i) sum += (a.uniform() - 0.5) * (b.uniform() - 0.5);
    return sum / 20000;
  };
  EXPECT_NEAR(correlation(Rng(1, "jitter", 0), Rng(1, "jitter", 1)), 0, 3e-3);
  EXPECT_NEAR(correlation(Rng(1, "jitter", 0), Rng(1, "spread", 0)), 0, 3e-3);
  EXPECT_NEAR(correlation(Rng(1, "jitter", 0), Rng(2, "jitter", 0)), 0, 3e-3);
  EXPECT_NEAR(correlation(Rng(1, "jitter", 0), Rng(1, "jitter", 0)), 1.0 / 12, 3e-3);  // the control
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
  double sum = 0, squares = 0, cubes = 0, fourths = 0;
  for (int i = 0; i < n; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourths += x * x * x * x;
  }
  EXPECT_NEAR(sum / n, 0, 0.016);
  EXPECT_NEAR(squares / n, 1, 0.023);
  // E x^3 = 0 with sigma sqrt(15 / n) = 0.0122; E x^4 = 3 with sigma sqrt((105 - 9) / n) = 0.031.
  EXPECT_NEAR(cubes / n, 0, 0.062);
  EXPECT_NEAR(fourths / n, 3, 0.155);
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
