// The emulator itself, and the conversions of the toolkit's headers on a processor.
#include "tests/real/cuda/emulation/emulator.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "real/cuda/kernels/cast.hpp"
#include "tests/real/cuda/kernels/buffer.hpp"

namespace lockstep::cuda {

TEST(Emulator, BarrierSeparatesWritesFromReads) {
  for (const auto order : {emulator::Order::Forward, emulator::Order::Reversed}) {
    emulator::order = order;
    int seen[100];
    emulator::run("neighbours", 1, 100, [&] {
      __shared__ unsigned shared[100];
      shared[threadIdx.x] = threadIdx.x;
      __syncthreads();
      seen[threadIdx.x] = static_cast<int>(shared[(threadIdx.x + 1) % 100] + shared[(threadIdx.x + 99) % 100]);
    });
    EXPECT_EQ(seen[0], 1 + 99);
    EXPECT_EQ(seen[50], 49 + 51);
    EXPECT_EQ(seen[99], 98 + 0);
  }
  emulator::order = emulator::Order::Forward;
}

TEST(Emulator, ButterflySumsAWarp) {
  int sums[64];
  emulator::run("butterfly", 1, 64, [&] {
    int x = static_cast<int>(threadIdx.x);
    // Warps with different numbers of shuffles: they do not wait for one another.
    for (int k = 16; k > 0; k /= 2) x += __shfl_xor_sync(0xffffffffu, x, k);
    if (threadIdx.x < 32) x += __shfl_xor_sync(0xffffffffu, x, 1);
    sums[threadIdx.x] = x;
  });
  EXPECT_EQ(sums[5], 2 * (31 * 32 / 2));
  EXPECT_EQ(sums[40], 31 * 32 / 2 + 32 * 32);
}

TEST(Emulator, RefusesADividedBlock) {
  EXPECT_THROW(emulator::run("half a block", 1, 64,
                             [] {
                               if (threadIdx.x < 32) __syncthreads();
                             }),
               std::logic_error);
  EXPECT_THROW(emulator::run("half a warp", 1, 32,
                             [] {
                               if (threadIdx.x < 7) __shfl_xor_sync(0xffffffffu, 1, 1);
                             }),
               std::logic_error);
  EXPECT_THROW(emulator::run("too many", 1, 1025, [] {}), std::logic_error);
  EXPECT_THROW(emulator::run("nothing", 0, 32, [] {}), std::logic_error);
}

TEST(Emulator, EveryBlockHasItsPlace) {
  std::vector<int> count(6);
  emulator::run("grid", dim3(2, 3), 1, [&] { ++count[blockIdx.x + 2 * blockIdx.y]; });
  EXPECT_EQ(count, std::vector<int>(6, 1));
}

/// Every 16-bit pattern goes to float and back as the test's own arithmetic says, one at a time and eight together.
TEST(Element, EveryPatternOfSixteenBits) {
  for (const Element e : {Element::F16, Element::Bf16}) {
    Buffer all(e, 65536), back(e, 65536);
    for (unsigned b = 0; b < 65536; ++b) static_cast<std::uint16_t*>(all.data())[b] = static_cast<std::uint16_t>(b);
    std::vector<float> wide(65536 + 1);
    for (const std::size_t skew : {0, 1}) {  // by vectors, and one by one
      float* to = wide.data() + skew;
      cast_to_float(e, 65536, all.data(), 1, to, false, nullptr);
      for (std::size_t b = 0; b < 65536; ++b) {
        ASSERT_TRUE(static_cast<double>(to[b]) == all[b] || (std::isnan(to[b]) && std::isnan(all[b]))) << b;
      }
      cast_from_float(e, 65536, to, 1, back.data(), nullptr);
      for (std::size_t b = 0; b < 65536; ++b) ASSERT_TRUE(back[b] == all[b] || std::isnan(all[b])) << b;
    }
  }
}

/// Ties, overflow and subnormal values.
TEST(Element, RoundsToNearestEven) {
  std::vector<double> x{1 + 0x1p-11, 1 + 0x3p-11, 1 + 0x1p-8, 1 + 0x3p-8, 65519,    65520,  -65520,
                        0x1p-25,     0x1.8p-25,   3e38,       3.4e38,     0x1p-133, 1.0 / 3};
  for (double v : normals(5000, 3, 1000)) x.push_back(v);
  const Buffer from(Element::F32, x);
  for (const Element e : kElements) {
    Buffer to(e, x.size());
    cast_from_float(e, static_cast<long long>(x.size()), static_cast<const float*>(from.data()), 1, to.data(), nullptr);
    Buffer expected(e, from.values());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(to[i], expected[i]) << name_of(e) << " " << x[i];
  }
}

}  // namespace lockstep::cuda
