// Sums over batch-norm groups in group order: the same bits for any number of ranks.
#include <gtest/gtest.h>

#include "tests/real/comm/ranks.hpp"

namespace lockstep {
namespace {

using test::Buffers;

/// The left fold over the first `filled` groups, as it must come out.
std::vector<float> left_fold(const Buffers& groups, int filled) {
  std::vector<float> sum = groups[0];
  for (int g = 1; g < filled; ++g) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += groups[static_cast<std::size_t>(g)][i];
  }
  return sum;
}

/// Groups shared among ranks in order; the result of every rank.
Buffers ordered(Buffers groups, int ranks, int filled) {
  const int per_rank = static_cast<int>(groups.size()) / ranks;
  test::on_ranks(ranks, [&](Transport& t) {
    std::vector<std::span<float>> mine;
    for (int g = 0; g < per_rank; ++g) mine.emplace_back(groups[static_cast<std::size_t>(t.rank() * per_rank + g)]);
    test::finish(*run_ordered(mine, std::clamp(filled - t.rank() * per_rank, 0, per_rank), 1, t));
  });
  Buffers out;
  for (int r = 0; r < ranks; ++r) out.push_back(std::move(groups[static_cast<std::size_t>(r * per_rank)]));
  return out;
}

// 600,000 elements are 10 pieces: more than are under way at once.
TEST(Ordered, TheSameBitsForAnyNumberOfRanks) {
  for (const std::int64_t elements : {0, 1, 100, 600000}) {
    const Buffers groups = test::random_buffers(8, elements);
    for (const int filled : {8, 5, 1}) {  // the last step of an epoch may leave groups empty
      const std::vector<float> expected = left_fold(groups, filled);
      for (const int ranks : {1, 2, 4, 8}) {
        for (const auto& out : ordered(groups, ranks, filled))
          ASSERT_EQ(out, expected) << ranks << " ranks, " << filled << " groups, " << elements << " elements";
      }
    }
  }
}

// (1 + 2^-24) + 2^-24 is 1 in fp32, as each tie goes to the even 1; 1 + (2^-24 + 2^-24) is 1 + 2^-23.
TEST(Ordered, TheOrderIsThatOfTheGroups) {
  const Buffers groups{{1.0f}, {0x1p-24f}, {0x1p-24f}};
  for (const auto& out : ordered(groups, 3, 3)) EXPECT_EQ(out[0], 1.0f);
  const Buffers small_first{{0x1p-24f}, {0x1p-24f}, {1.0f}};
  for (const auto& out : ordered(small_first, 3, 3)) EXPECT_EQ(out[0], 1.0f + 0x1p-23f);
}

TEST(Ordered, NothingFilledIsZero) {
  for (const auto& out : ordered({{5.0f}, {6.0f}}, 2, 0)) EXPECT_EQ(out[0], 0.0f);
}

}  // namespace
}  // namespace lockstep
