// A lane whose speed changes, by hand and by properties.
#include "sim/step/compute_lane.hpp"

#include <gtest/gtest.h>

#include "core/base/rng.hpp"

namespace lockstep::sim {
namespace {

Time us(double t) { return Time::microseconds(t); }

/// 10 us of arithmetic, 20 of memory traffic, 30 of arithmetic.
LaneWork three_stretches() {
  LaneWork w;
  w.add(us(4), false);
  w.add(us(6), false);
  w.add(us(20), true);
  w.add(us(30), false);
  return w;
}

TEST(LaneWork, StretchesByHand) {
  const LaneWork w = three_stretches();
  EXPECT_EQ(w.end(), us(60));
  // Arithmetic twice as long, memory one and a half times: 10 -> 20, 20 -> 20 + 10 x 1.5 = 35, 30 -> 50, 60 -> 50 + 60 = 110.
  const Slowdown s{2, 1.5};
  for (const auto& [position, length] : {std::pair{0., 0.}, {10., 20.}, {20., 35.}, {30., 50.}, {60., 110.}}) {
    EXPECT_DOUBLE_EQ(w.picoseconds(us(position), s), length * 1e6) << position;
    EXPECT_EQ(w.position(length * 1e6, s), us(position)) << length;
  }
  EXPECT_EQ(w.position(1e12, s), us(60));
}

TEST(ComputeLane, SpeedChangesByHand) {
  // Starts at 100 us, a rank twice as slow as nominal. Position 20 us is reached at 140; from there everything is slowed down as above: 10 us
  // of memory left take 10 x 1.5 x 2 = 30 us, the next 10 of arithmetic 10 x 2 x 2 = 40.
  const LaneWork w = three_stretches();
  ComputeLane lane(w, us(100), 2);
  EXPECT_EQ(lane.when(us(30)), us(160));
  EXPECT_TRUE(lane.change(us(140), {2, 1.5}));
  EXPECT_EQ(lane.when(us(30)), us(170));
  EXPECT_EQ(lane.when(us(40)), us(210));
  EXPECT_EQ(lane.when(us(10)), us(120));  // what has passed stays
  EXPECT_FALSE(lane.change(us(150), {2, 1.5}));
  // At 170 us (position 30) it is over: 30 us of arithmetic in 60.
  EXPECT_TRUE(lane.change(us(170), {}));
  EXPECT_EQ(lane.when(us(60)), us(230));
  EXPECT_EQ(lane.when(us(20)), us(140));
  EXPECT_FALSE(lane.change(us(240), {3, 3}));  // nothing is left
  EXPECT_EQ(lane.when(us(60)), us(230));
}

TEST(ComputeLane, UndisturbedIsExact) {
  // start + position x factor to the picosecond, also after a change to the speed that it has.
  const LaneWork w = three_stretches();
  ComputeLane lane(w, us(7), 1.01);
  EXPECT_FALSE(lane.change(us(9), {}));
  for (std::int64_t ps = 0; ps <= w.end().picoseconds(); ps += 1234567)
    EXPECT_EQ(lane.when(Time::picoseconds(ps)), us(7) + Time::picoseconds(ps) * 1.01);
}

TEST(ComputeLane, RandomChangesKeepItsOrderAndItsBounds) {
  // Positions are passed in order; the lane is never earlier than undisturbed and never later than under the worst slowdown all the time, up to
  // one picosecond of rounding per change.
  Rng rng(3, "compute lane");
  for (int run = 0; run < 200; ++run) {
    LaneWork w;
    for (int i = 0; i < 30; ++i)
      w.add(Time::picoseconds(static_cast<std::int64_t>(rng.below(1000000))), rng.below(2) == 0);
    ComputeLane lane(w, Time::zero(), 1);
    Time now;
    int changes = 0;
    for (; now < w.end(); ++changes) {
      now += Time::picoseconds(static_cast<std::int64_t>(rng.below(3000000)));
      lane.change(now, rng.below(2) ? Slowdown{} : Slowdown{1.25, 1.5});
    }
    Time last;
    for (std::int64_t ps = 0; ps <= w.end().picoseconds(); ps += 100003) {
      const Time at = lane.when(Time::picoseconds(ps));
      EXPECT_GE(at + Time::picoseconds(2), last);
      EXPECT_GE(at.picoseconds(), ps - 2 * changes);
      EXPECT_LE(static_cast<double>(at.picoseconds()), 1.5 * static_cast<double>(ps) + 2 * changes);
      last = at;
    }
  }
}

}  // namespace
}  // namespace lockstep::sim
