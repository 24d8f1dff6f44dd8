#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <concepts>
#include <limits>
#include <string>

#include "core/base/ids.hpp"
#include "core/base/units.hpp"
#include "core/base/units_text.hpp"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

TEST(Units, SizeOverRateIsTime) {
  // 25 MB at 12.5 GB/s: 2 ms.
  EXPECT_EQ(Bytes(25000000) / Bandwidth::gigabytes_per_second(12.5), Time::milliseconds(2));
  EXPECT_EQ(Bandwidth::gigabits_per_second(100).bytes_per_second(), 12.5e9);
  EXPECT_EQ(Flops(15.7e12) / FlopRate::teraflops(15.7), Time::seconds(1));
}

TEST(Units, RoundsToTheNearestPicosecond) {
  EXPECT_EQ(Time::seconds(1.4e-12).picoseconds(), 1);
  EXPECT_EQ(Time::seconds(1.6e-12).picoseconds(), 2);
}

template <class A, class B>
constexpr bool kAdds = requires(A a, B b) {
  a + b;
};
template <class A, class B>
constexpr bool kMultiplies = requires(A a, B b) {
  a* b;
};
template <class A, class B>
constexpr bool kDivides = requires(A a, B b) {
  a / b;
};
template <class A, class B>
constexpr bool kCompares = requires(A a, B b) {
  a < b;
};

// Each expectation has its meaningful twin, so that none can hold for a wrong reason.
TEST(Units, CombinationsWithoutMeaningDoNotCompile) {
  EXPECT_TRUE((kAdds<Bytes, Bytes> && kAdds<Time, Time> && kAdds<Bandwidth, Bandwidth>));
  EXPECT_FALSE((kAdds<Bytes, Time>));
  EXPECT_FALSE((kAdds<Bandwidth, Bytes>));
  EXPECT_FALSE((kAdds<Time, double>));
  EXPECT_TRUE((kMultiplies<Time, int> && kMultiplies<Bytes, int>));
  EXPECT_FALSE((kMultiplies<Time, Time>));
  EXPECT_FALSE((kMultiplies<Bytes, Bytes>));
  EXPECT_TRUE((kDivides<Bytes, Bandwidth> && kDivides<Flops, FlopRate>));
  EXPECT_FALSE((kDivides<Bytes, FlopRate>));
  EXPECT_TRUE((kCompares<Bandwidth, Bandwidth> && kCompares<Rank, Rank>));
  EXPECT_FALSE((kCompares<Bandwidth, Bytes>));
  EXPECT_FALSE((kAdds<Rank, Rank>));
  EXPECT_TRUE((std::convertible_to<Rank, Rank> && std::constructible_from<Rank, int>));
  EXPECT_FALSE((std::convertible_to<LayerId, Rank>));
  EXPECT_FALSE((std::convertible_to<int, Rank>));
  EXPECT_FALSE((std::convertible_to<int, Time>));
  EXPECT_FALSE((std::convertible_to<Time, double>));
}

TEST(UnitsText, Parses) {
  EXPECT_EQ(parse_time("700ns"), Time::nanoseconds(700));
  EXPECT_EQ(parse_time("1.5 ms"), Time::microseconds(1500));
  EXPECT_EQ(parse_bytes("25MiB"), Bytes::mib(25));
  EXPECT_EQ(parse_bytes("1MB"), Bytes(1000000));
  EXPECT_EQ(parse_bandwidth("100Gbps"), Bandwidth::gigabytes_per_second(12.5));
  EXPECT_EQ(parse_bandwidth("25GBps"), Bandwidth::gigabytes_per_second(25));
  EXPECT_EQ(parse_flop_rate("125TFLOPS"), FlopRate::teraflops(125));
}

std::string refusal(void (*parse)(std::string_view), std::string_view text) {
  try {
    parse(text);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "accepted";
}

TEST(UnitsText, RefusesWithAnExample) {
  const auto rate = [](std::string_view t) { parse_bandwidth(t); };
  const auto time = [](std::string_view t) { parse_time(t); };
  const auto size = [](std::string_view t) { parse_bytes(t); };
  EXPECT_EQ(refusal(rate, "25GB"), "\"25GB\" is not a rate; write \"25GBps\" or \"200Gbps\"");
  EXPECT_THAT(refusal(time, "7"), HasSubstr("the unit is missing"));
  EXPECT_THAT(refusal(time, "-7us"), HasSubstr("negative"));
  EXPECT_THAT(refusal(size, "1.5B"), HasSubstr("whole number of bytes"));
  EXPECT_THAT(refusal(size, "28.9MiB"), HasSubstr("write \"30303846B\""));  // 30,303,846.4
  EXPECT_THAT(refusal(size, "nanMiB"), HasSubstr("is not a size"));
}

TEST(UnitsText, RefusesWhatDoesNotFit) {
  const auto rate = [](std::string_view t) { parse_bandwidth(t); };
  const auto time = [](std::string_view t) { parse_time(t); };
  const auto size = [](std::string_view t) { parse_bytes(t); };
  // 2^63 ps = 9.22e6 s = 2562 h.
  EXPECT_EQ(parse_time("2562h").seconds(), 2562 * 3600);
  EXPECT_THAT(refusal(time, "2563h"), HasSubstr("the longest is 106 days"));
  EXPECT_THAT(refusal(time, "1e300h"), HasSubstr("it is too large"));
  EXPECT_THAT(refusal(time, "9223372036854775808ps"), HasSubstr("the longest is 106 days"));
  EXPECT_THAT(refusal(size, "1e30GB"), HasSubstr("the largest is 8 EiB"));
  EXPECT_THAT(refusal(rate, "1e308TBps"), HasSubstr("it is too large"));
  EXPECT_THAT(refusal(rate, "1e999Bps"), HasSubstr("is not a rate"));
}

TEST(UnitsText, DecimalFractionsOfASizeAreWhole) {
  // Every GB count with three decimals is a whole number of bytes, though few of them are exact in binary.
  for (std::int64_t mb = 0; mb < 10000; ++mb) {
    EXPECT_EQ(parse_bytes(std::to_string(mb / 1000) + "." + std::to_string(1000 + mb % 1000).substr(1) + "GB"),
              Bytes(mb * 1000000));
  }
}

TEST(UnitsText, ExactTextRoundTrips) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(parse_time(to_exact_text(Time::never())), Time::never());
  EXPECT_EQ(to_exact_text(Time::zero()), "0s");
  EXPECT_EQ(to_exact_text(Time::milliseconds(60000)), "60s");
  EXPECT_EQ(to_exact_text(Time::picoseconds(1500)), "1500ps");
  EXPECT_EQ(to_exact_text(Bytes::kib(512)), "512KiB");
  EXPECT_EQ(to_exact_text(Bytes(1000)), "1000B");
  const bool holds = rc::check([] {
    const Time t = Time::picoseconds(*rc::gen::inRange<std::int64_t>(0, most));
    const Bytes b(*rc::gen::inRange<std::int64_t>(0, most));
    const double positive = static_cast<double>(*rc::gen::inRange<std::int64_t>(1, std::int64_t{1} << 60)) / 7.0;
    RC_ASSERT(parse_time(to_exact_text(t)) == t);
    RC_ASSERT(parse_bytes(to_exact_text(b)) == b);
    const Bandwidth r = Bandwidth::bytes_per_second(positive);
    RC_ASSERT(parse_bandwidth(to_exact_text(r)) == r);
    const FlopRate f = FlopRate::per_second(positive);
    RC_ASSERT(parse_flop_rate(to_exact_text(f)) == f);
  });
  EXPECT_TRUE(holds);
}

TEST(UnitsText, ReadsWell) {
  EXPECT_EQ(to_text(Time::microseconds(49500)), "49.5 ms");
  EXPECT_EQ(to_text(Time::seconds(3600 * 29)), "29.00 h");
  EXPECT_EQ(to_text(Bytes::mib(25)), "25.0 MiB");
  EXPECT_EQ(to_text(Bandwidth::gigabytes_per_second(47.9)), "47.9 GB/s");
}

}  // namespace
}  // namespace lockstep
