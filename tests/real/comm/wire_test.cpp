// Conversions of the wire: rounding, specials, and the same bits from vector instructions as from portable code.
#include <bit>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include <rapidcheck.h>

#include "real/comm/wire.hpp"
#include "real/comm/wire_kernels.hpp"

namespace lockstep {
namespace {

TEST(Wire, RoundsToNearestEvenAndKeepsSpecials) {
  EXPECT_EQ(to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(to_bf16(1.0f + 1.0f / 256), 0x3f80);  // a tie goes to the even mantissa
  EXPECT_EQ(to_bf16(1.0f + 3.0f / 256), 0x3f82);
  EXPECT_EQ(to_fp16(1.0f), 0x3c00);
  EXPECT_EQ(to_fp16(1.0f + 0x1p-11f), 0x3c00);
  EXPECT_EQ(to_fp16(1.0f + 0x1.8p-10f), 0x3c02);
  EXPECT_EQ(to_fp16(65519.0f), 0x7bff);  // the largest is 65,504, in steps of 32
  EXPECT_EQ(to_fp16(65520.0f), 0x7c00);  // half a step beyond it: infinity
  EXPECT_EQ(to_fp16(65536.0f), 0x7c00);
  EXPECT_EQ(to_fp16(-1e30f), 0xfc00);
  EXPECT_EQ(to_fp16(0x1p-24f), 0x0001);  // the smallest subnormal
  EXPECT_EQ(to_fp16(0x1p-25f), 0x0000);  // half of it: a tie, to even
  EXPECT_EQ(to_fp16(0x1.8p-25f), 0x0001);
  EXPECT_EQ(to_fp16(0x1.ff8p-15f), 0x03ff);  // the largest subnormal, 1,023 x 2^-24
  EXPECT_EQ(to_fp16(-0.0f), 0x8000);
  for (const float v : {INFINITY, -INFINITY}) {
    EXPECT_EQ(from_bf16(to_bf16(v)), v);
    EXPECT_EQ(from_fp16(to_fp16(v)), v);
  }
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(NAN))));
  EXPECT_TRUE(std::isnan(from_fp16(to_fp16(NAN))));
  // A NaN whose payload lies in the bits that are cut off must not become infinity.
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(from_fp16(to_fp16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Wire, EveryValueOfSixteenBitsComesBack) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto b = static_cast<std::uint16_t>(bits);
    ASSERT_TRUE(std::isnan(from_bf16(b)) || to_bf16(from_bf16(b)) == b) << bits;
    ASSERT_TRUE(std::isnan(from_fp16(b)) || to_fp16(from_fp16(b)) == b) << bits;
    // value = mantissa x 2^(exponent - 10), by definition
    const int exponent = (b >> 10) & 31, mantissa = b & 1023;
    if (exponent == 31) continue;
    const double value = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(from_fp16(b), static_cast<float>((b & 0x8000u) != 0 ? -value : value)) << bits;
  }
}

// Nearest: no neighbour is closer.
TEST(Wire, RoundsToTheNearest) {
  EXPECT_TRUE(rc::check([](std::uint32_t bits) {
    const float v = std::bit_cast<float>(bits);
    if (!std::isfinite(v)) return;
    const auto nearest = [&](std::uint16_t at, float (*from)(std::uint16_t)) {
      if (!std::isfinite(from(at))) return true;  // beyond the range
      const double distance = std::abs(static_cast<double>(from(at)) - v);
      for (const int step : {-1, 1}) {
        const auto beside = static_cast<std::uint16_t>(at + step);
        if (((beside ^ at) & 0x8000u) == 0 && std::isfinite(from(beside)) &&
            std::abs(static_cast<double>(from(beside)) - v) < distance)
          return false;
      }
      return true;
    };
    RC_ASSERT(nearest(to_bf16(v), from_bf16));
    RC_ASSERT(nearest(to_fp16(v), from_fp16));
  }));
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// All exponents, signs, rounding cases and NaN: 2^20 patterns spread over the 2^32, in lengths that leave every remainder.
TEST(WireKernels, ThisProcessorGivesThePortableBits) {
  const auto fast = wire_kernels_of_this_processor();
  if (!fast) GTEST_SKIP() << "no vector instructions that we know on this processor";
  const WireKernelSet plain = portable_wire_kernels();
  std::vector<float> values;
  for (std::uint32_t i = 0; i < (1u << 20); ++i) values.push_back(std::bit_cast<float>(i * 4097u + (i & 3u)));
  for (std::size_t type = 0; type < plain.size(); ++type) {
    for (std::size_t n :
         {values.size(), std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{13}}) {
      std::vector<std::byte> a(4 * n + 1), b = a;
      plain[type].encode(values.data() + 3, n > 8 ? n - 3 : n, a.data() + 1);  // messages may lie anywhere
      (*fast)[type].encode(values.data() + 3, n > 8 ? n - 3 : n, b.data() + 1);
      ASSERT_EQ(a, b) << "type " << type << ", " << n << " values";
    }
  }
  // Sums of numbers; the payload of NaN + NaN is the processor's choice.
  for (float& v : values) v = std::isfinite(v) ? v : 1.0f;
  for (std::size_t type = 0; type < plain.size(); ++type) {
    for (const std::size_t n : {values.size(), std::size_t{5}}) {
      std::vector<std::byte> message(4 * n);
      plain[type].encode(values.data(), n, message.data());
      std::vector<float> a(values.rbegin(), values.rbegin() + static_cast<std::ptrdiff_t>(n)), b = a;
      plain[type].add(message.data(), n, a.data());
      (*fast)[type].add(message.data(), n, b.data());
      ASSERT_EQ(bytes_of(a), bytes_of(b)) << "type " << type;
      plain[type].decode(message.data(), n, a.data());
      (*fast)[type].decode(message.data(), n, b.data());
      ASSERT_EQ(bytes_of(a), bytes_of(b)) << "type " << type;
    }
  }
  // Every NaN of 16 bits.
  std::vector<std::uint16_t> all(65536);
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  for (std::size_t type = 1; type < plain.size(); ++type) {
    std::vector<float> a(all.size()), b(all.size());
    plain[type].decode(reinterpret_cast<const std::byte*>(all.data()), all.size(), a.data());
    (*fast)[type].decode(reinterpret_cast<const std::byte*>(all.data()), all.size(), b.data());
    ASSERT_EQ(bytes_of(a), bytes_of(b)) << "type " << type;
  }
}

TEST(Wire, RoundedIsWhatWouldArrive) {
  for (const WireType type : {WireType::Fp32, WireType::Fp16, WireType::Bf16}) {
    std::vector<float> values;
    for (int i = 0; i < 5000; ++i) values.push_back(std::sin(static_cast<float>(i)));
    std::vector<std::byte> message(values.size() * wire_bytes(type));
    to_wire(type, values, message.data());
    std::vector<float> arrived(values.size());
    from_wire(type, message.data(), arrived);
    round_to_wire(type, values);
    EXPECT_EQ(values, arrived);
  }
}

}  // namespace
}  // namespace lockstep
