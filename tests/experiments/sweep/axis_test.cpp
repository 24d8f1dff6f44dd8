// The values that `--over path=VALUES` stands for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "core/base/units_text.hpp"
#include "experiments/sweep/axis.hpp"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> values(const std::string& text) {
  std::vector<Fault> faults;
  auto out = parse_values(text, "--over k=" + text, "k", faults);
  for (const auto& f : faults) out.push_back("fault: " + f.text());
  return out;
}

TEST(Axis, ListsKeepWhatBelongsTogether) {
  EXPECT_THAT(values("1024,2048"), ElementsAre("1024", "2048"));
  EXPECT_THAT(values(" fp16 , fp32"), ElementsAre("fp16", "fp32"));
  EXPECT_THAT(values("[30,60,80],[30, 60]"), ElementsAre("[30,60,80]", "[30, 60]"));
  EXPECT_THAT(values("[],[{rank=0, factor=1.3},{rank=1,factor=2}]"),
              ElementsAre("[]", "[{rank=0, factor=1.3},{rank=1,factor=2}]"));
  EXPECT_THAT(values("\"a,b\",'c:d:e',\"1..4\""), ElementsAre("\"a,b\"", "'c:d:e'", "\"1..4\""));
  EXPECT_THAT(values("1,1,2"), ElementsAre("1", "1", "2"));  // --zip may need it
}

TEST(Axis, TextThatIsNoRangeIsAValue) {
  EXPECT_THAT(values("../data/clusters/a.toml,x:y:z,a..b"), ElementsAre("../data/clusters/a.toml", "x:y:z", "a..b"));
}

TEST(Axis, LinearRanges) {
  EXPECT_THAT(values("4:16:4"), ElementsAre("4", "8", "12", "16"));
  EXPECT_THAT(values("4:15:4"), ElementsAre("4", "8", "12"));
  EXPECT_THAT(values("5:5:1"), ElementsAre("5"));
  EXPECT_THAT(values("-2:2:2"), ElementsAre("-2", "0", "2"));
  // Three times 0.1 is 0.30000000000000004 in binary, above the last; it still counts, and reads 0.3.
  EXPECT_THAT(values("0:0.3:0.1"), ElementsAre("0", "0.1", "0.2", "0.3"));
  EXPECT_THAT(values("1MiB:3MiB:1MiB"), ElementsAre("1MiB", "2MiB", "3MiB"));
}

TEST(Axis, GeometricRanges) {
  EXPECT_THAT(values("4..64"), ElementsAre("4", "8", "16", "32", "64"));
  EXPECT_THAT(values("3..20"), ElementsAre("3", "6", "12"));
  EXPECT_THAT(values("4..2048x4"), ElementsAre("4", "16", "64", "256", "1024"));
  EXPECT_THAT(values("0.1..0.4"), ElementsAre("0.1", "0.2", "0.4"));
  EXPECT_THAT(values("1MiB..4MiB"), ElementsAre("1MiB", "2MiB", "4MiB"));
  // 1, 1.5, 2.25, 3.375: not whole, because the factor is not.
  EXPECT_THAT(values("1..4x1.5"), ElementsAre("1", "1.5", "2.25", "3.375"));
  // Equal ratios: (16/1)^(1/4) = 2.
  EXPECT_THAT(values("1:16:log5"), ElementsAre("1", "2", "4", "8", "16"));
  EXPECT_THAT(values("0.5:2:log3"), ElementsAre("0.5", "1", "2"));
  // Whole ends: 1, 1.26, 1.59, 2 round to 1, 1, 2, 2, and each comes once.
  EXPECT_THAT(values("1:2:log4"), ElementsAre("1", "2"));
  // Not where the key takes fractions, and not with a unit: sqrt(2) lies between.
  EXPECT_THAT(values("1GBps:2GBps:log3"), ElementsAre("1GBps", "1.41421356237GBps", "2GBps"));
  EXPECT_THAT(values("1us:2us:log3"), ElementsAre("1us", "1.41421356237us", "2us"));
  EXPECT_EQ(parse_time("1.41421356237us"), Time::picoseconds(1414214));
  EXPECT_THAT(values("1MiB:4MiB:log4"), ElementsAre("1MiB", "2MiB", "3MiB", "4MiB"));
  std::vector<Fault> faults;
  EXPECT_THAT(parse_axis("schedule.base_lr=1:2:log3", "--over", faults).values, ElementsAre("1", "1.41421356237", "2"));
  EXPECT_THAT(parse_axis("cluster.gpus=1:4:log4", "--over", faults).values, ElementsAre("1", "2", "3", "4"));
}

TEST(Axis, RangesMixWithValues) { EXPECT_THAT(values("1,4..16,100"), ElementsAre("1", "4", "8", "16", "100")); }

TEST(Axis, FaultsSayWhatWasExpected) {
  const auto fault = [](const std::string& text) {
    std::vector<Fault> faults;
    parse_axis(text, "--over", faults);
    return faults.size() == 1 ? faults[0].text() : std::to_string(faults.size()) + " faults";
  };
  EXPECT_THAT(fault("cluster.gpus"), HasSubstr("expected path=VALUES, such as"));
  EXPECT_THAT(fault("=3"), HasSubstr("expected path=VALUES"));
  EXPECT_THAT(fault("k="), HasSubstr("an empty value"));
  EXPECT_THAT(fault("k=1,,2"), HasSubstr("an empty value"));
  EXPECT_THAT(fault("k=4:64"), HasSubstr("expected first:last:step"));
  EXPECT_THAT(fault("k=64:4:4"), HasSubstr("4 is below 64"));
  EXPECT_THAT(fault("k=4:64:0"), HasSubstr("a step above 0"));
  EXPECT_THAT(fault("k=4:64:x"), HasSubstr("\"x\" is not a number"));
  EXPECT_THAT(fault("k=4:64:log"), HasSubstr("number of values after log"));
  EXPECT_THAT(fault("k=4:64:log1"), HasSubstr("from 2 to"));
  EXPECT_THAT(fault("k=0..64"), HasSubstr("a first value above 0"));
  EXPECT_THAT(fault("k=4..64x1"), HasSubstr("a factor above 1"));
  EXPECT_THAT(fault("k=4..many"), HasSubstr("\"many\" is not a number"));
  EXPECT_THAT(fault("k=1MiB..4GiB"), HasSubstr("the same unit"));
  EXPECT_THAT(fault("k=0:1:1e-9"), HasSubstr("more than 1000000 values"));
  EXPECT_THAT(fault("k=[1,2"), HasSubstr("left open"));
  EXPECT_THAT(fault("k=1,64:4:4"), HasSubstr("\"64:4:4\": 4 is below 64"));
  EXPECT_THAT(fault("k=2:1:1,4:64:0"), HasSubstr("2 faults"));
}

// Both once went on for as long as there was time or memory.
TEST(Axis, StepsTooSmallForTwelveDigitsAndManyRangesEnd) {
  for (const std::string text : {"k=1:2:1e-30", "k=1..2x1.0000000000000002", "k=5,0:999999:1"}) {
    std::vector<Fault> faults;
    const Axis axis = parse_axis(text, "--over", faults);
    ASSERT_EQ(faults.size(), 1u) << text;
    EXPECT_THAT(faults[0].text(), HasSubstr("more than 1000000 values")) << text;
    EXPECT_LE(axis.values.size(), 1u) << text;
  }
}

TEST(Axis, EveryWholeLinearRangeIsTheLoopThatItReadsAs) {
  EXPECT_TRUE(rc::check([] {
    const auto first = *rc::gen::inRange<std::int64_t>(-100000, 100000);
    const auto step = *rc::gen::inRange<std::int64_t>(1, 5000);
    const auto last = first + *rc::gen::inRange<std::int64_t>(0, 100 * step);
    std::vector<std::string> expected;
    for (std::int64_t v = first; v <= last; v += step) expected.push_back(std::to_string(v));
    RC_ASSERT(values(std::to_string(first) + ":" + std::to_string(last) + ":" + std::to_string(step)) == expected);
  }));
}

TEST(Axis, EveryTextIsReadWithoutCrashingAndGivesValuesOrFaults) {
  EXPECT_TRUE(rc::check([] {
    const auto text =
        *rc::gen::container<std::string>(rc::gen::elementOf(std::string("0123456789.:,x[]{}\"'logMiB e-+")));
    RC_ASSERT(!values(text).empty());
  }));
}

}  // namespace
}  // namespace lockstep
