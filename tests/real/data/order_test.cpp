// The order of an epoch, and that its shards over ranks cover it.
#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "core/plan/step_program.hpp"
#include "real/data/order.hpp"

namespace lockstep {
namespace {

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

// 3 positions in 6 orders: over 6,000 epochs each order comes 1,000 times, with a deviation of sqrt(6000 x 1/6 x 5/6) =
// 29; five of them.
TEST(EpochOrder, AllOrdersAreEquallyLikely) {
  std::map<std::vector<std::int32_t>, int> seen;
  for (int epoch = 0; epoch < 6000; ++epoch) ++seen[epoch_order(1, epoch, 3)];
  EXPECT_EQ(seen.size(), 6u);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, 1000, 5 * 29);
}

// Every step takes the next images of the order, its ranks and micro-steps parts of those; the last step is short.
TEST(EpochOrder, EveryImageOncePerEpochOverAllRanks) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t images = *rc::gen::inRange(1, 400), batch = *rc::gen::inRange(1, 64);
    StepProgram program;
    program.world_size = *rc::gen::inRange(1, 9);
    program.accumulation = *rc::gen::inRange(1, 4);
    const auto order = epoch_order(7, 2, images);
    std::vector<int> seen(static_cast<std::size_t>(images));
    for (std::int64_t first = 0; first < images; first += batch) {
      const std::int64_t count = std::min(batch, images - first);
      for (int rank = 0; rank < program.world_size; ++rank) {
        for (int micro = 0; micro < program.accumulation; ++micro) {
          const Span part = images_of_micro_step(program, count, Rank(rank), micro);
          for (std::int64_t i = 0; i < part.length; ++i)
            ++seen[static_cast<std::size_t>(order[static_cast<std::size_t>(first + part.begin + i)])];
        }
      }
    }
    RC_ASSERT(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  }));
}

}  // namespace
}  // namespace lockstep
