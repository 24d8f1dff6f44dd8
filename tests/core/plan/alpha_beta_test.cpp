#include "core/plan/alpha_beta.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace lockstep {
namespace {

// alpha 2 us, beta 10 GB/s (100 ps per byte), gamma 50 GB/s (20 ps per byte).
const AlphaBeta kLink{Time::microseconds(2), Bandwidth::gigabytes_per_second(10), Bandwidth::gigabytes_per_second(50)};
const AlphaBeta kFreeSum{Time::microseconds(2), Bandwidth::gigabytes_per_second(10), Bandwidth()};
constexpr Bytes kSize{8000000};

TEST(AlphaBeta, Ring) {
  // n = 8: 14 x 2 us + 2 x 7 MB / 10 GB/s + 7 MB / 50 GB/s = 28 + 1400 + 140 us.
  EXPECT_EQ(ring_allreduce_time(kSize, 8, kLink), Time::microseconds(1568));
  // Reduce-scatter: 7 x 2 + 700 + 140 us; all-gather without the sum: 14 + 700 us.
  EXPECT_EQ(ring_reduce_scatter_time(kSize, 8, kLink), Time::microseconds(854));
  EXPECT_EQ(ring_reduce_scatter_time(kSize, 8, kFreeSum), Time::microseconds(714));
}

TEST(AlphaBeta, HalvingDoubling) {
  // n = 8: 2 x 3 x 2 us + 1400 + 140 us.
  EXPECT_EQ(halving_doubling_time(kSize, 8, kLink), Time::microseconds(1552));
  // n = 10: (2 x 3 + 2) x 2 us + (1.8 + 2) x 800 us + (1 + 0.9) x 160 us = 16 + 3040 + 304 us.
  EXPECT_EQ(halving_doubling_time(kSize, 10, kLink), Time::microseconds(3360));
}

TEST(AlphaBeta, DoubleTree) {
  // n = 8, chunk 100 kB: 2 x 3 x (2 + 10) us + 2 x 800 us + 160 us = 72 + 1600 + 160 us.
  EXPECT_EQ(double_tree_time(kSize, 8, Bytes(100000), kLink), Time::microseconds(1832));
  // A chunk beyond half of the buffer is half of the buffer: 6 x (2 + 400) + 1760 us.
  EXPECT_EQ(double_tree_time(kSize, 8, Bytes(100000000), kLink), Time::microseconds(4172));
}

TEST(AlphaBeta, Hierarchical) {
  // 4 per node, 8 nodes; across: alpha 5 us, 2.5 GB/s per stream, free sum. Inside: 2 x 3 x 2 us + 2 x 6 MB / 10 GB/s +
  // 6 MB / 50 GB/s = 12 + 1200 + 120 us. Across with 2 MB: 14 x 5 us + 2 x 1.75 MB / 2.5 GB/s = 70 + 1400 us.
  const AlphaBeta across{Time::microseconds(5), Bandwidth::gigabytes_per_second(2.5), Bandwidth()};
  EXPECT_EQ(hierarchical_time(kSize, 4, 8, kLink, across), Time::microseconds(2802));
  EXPECT_EQ(hierarchical_time(kSize, 1, 8, kLink, across), ring_allreduce_time(kSize, 8, across));
  EXPECT_EQ(hierarchical_time(kSize, 8, 1, kLink, across), ring_allreduce_time(kSize, 8, kLink));
}

TEST(AlphaBeta, OneRankAndNoBytes) {
  EXPECT_EQ(ring_allreduce_time(kSize, 1, kLink), Time::zero());
  EXPECT_EQ(ring_reduce_scatter_time(kSize, 1, kLink), Time::zero());
  EXPECT_EQ(halving_doubling_time(kSize, 1, kLink), Time::zero());
  EXPECT_EQ(double_tree_time(kSize, 1, Bytes(1), kLink), Time::zero());
  EXPECT_EQ(hierarchical_time(kSize, 1, 1, kLink, kLink), Time::zero());
  EXPECT_EQ(ring_allreduce_time(Bytes(0), 8, kLink), Time::microseconds(28));  // 14 alphas
  EXPECT_EQ(halving_doubling_time(Bytes(0), 8, kLink), Time::microseconds(12));
  EXPECT_EQ(double_tree_time(Bytes(0), 8, Bytes(1), kLink), Time::microseconds(12));
  EXPECT_THROW(ring_allreduce_time(kSize, 0, kLink), InternalError);
}

TEST(AlphaBeta, BusBandwidth) {
  // nccl-tests: 8 MB in 1 ms on 8 ranks is algbw 8 GB/s, busbw 8 x 14 / 8 = 14 GB/s.
  EXPECT_DOUBLE_EQ(allreduce_busbw(kSize, 8, Time::milliseconds(1)).gigabytes_per_second(), 14.0);
  // A ring without latency and free sums runs its links at exactly their rate.
  AlphaBeta wire = kFreeSum;
  wire.alpha = Time::zero();
  EXPECT_NEAR(allreduce_busbw(kSize, 8, ring_allreduce_time(kSize, 8, wire)).gigabytes_per_second(), 10.0, 1e-6);
}

}  // namespace
}  // namespace lockstep
