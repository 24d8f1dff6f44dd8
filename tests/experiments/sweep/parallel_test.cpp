// Independent work on threads: each piece once, stopping, errors.
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "experiments/parallel.hpp"

namespace lockstep {
namespace {

TEST(Parallel, EveryPieceOnceForAnyNumberOfThreads) {
  for (std::size_t threads : {0u, 1u, 3u, 50u}) {
    std::vector<std::atomic<int>> times(20);
    EXPECT_TRUE(for_each_in_parallel(times.size(), threads, [&](std::size_t i) { ++times[i]; }, {}));
    for (const auto& t : times) EXPECT_EQ(t, 1);
  }
  EXPECT_TRUE(for_each_in_parallel(0, 2, [](std::size_t) { FAIL(); }, {}));
  EXPECT_GE(usable_threads(), 1u);
}

TEST(Parallel, StopsWhenAskedAndFinishesWhatHasBegun) {
  std::atomic<int> begun{0}, ended{0};
  std::atomic<bool> stopped{false};
  EXPECT_FALSE(for_each_in_parallel(
      1000, 2,
      [&](std::size_t) {
        ++begun;
        while (!stopped) std::this_thread::yield();
        ++ended;
      },
      [&](std::size_t done) {
        EXPECT_EQ(done, 0u);
        if (begun < 2) return true;
        stopped = true;
        return false;
      }));
  EXPECT_EQ(begun, ended);
  EXPECT_LT(begun, 1000);
}

TEST(Parallel, AnErrorOfAPieceOrOfThePollIsRethrownOnceAllHaveEnded) {
  EXPECT_THROW(
      for_each_in_parallel(10, 2, [](std::size_t i) { i == 3 ? throw std::runtime_error("piece") : void(); }, {}),
      std::runtime_error);
  std::atomic<bool> go{false};
  EXPECT_THROW(for_each_in_parallel(
                   1, 1,
                   [&](std::size_t) {
                     while (!go) std::this_thread::yield();
                   },
                   [&](std::size_t) -> bool {
                     go = true;
                     throw std::logic_error("poll");
                   }),
               std::logic_error);
}

}  // namespace
}  // namespace lockstep
