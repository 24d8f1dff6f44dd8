#include "core/optim/lr_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "core/optim/schedule_presets.hpp"

namespace lockstep {
namespace {

/// The rate of step `step` of a run with a constant batch.
SchedulePoint at(std::int64_t step, std::int64_t steps_per_epoch, double epochs, std::int64_t batch = 256) {
  const double h = 1.0 / static_cast<double>(steps_per_epoch);
  return {static_cast<double>(step) / static_cast<double>(steps_per_epoch), h, epochs, batch};
}

double fujitsu(std::int64_t step) { return learning_rate(fujitsu_v06_schedule(), at(step, 15, 90, 86016)); }

TEST(LrSchedule, Fujitsu) {
  EXPECT_EQ(fujitsu(0), 0);
  EXPECT_NEAR(fujitsu(270), 6.5, 1e-12);  // half of 540 warm-up steps
  EXPECT_NEAR(fujitsu(540), 13, 1e-12);
  // half of the 780 decay steps: 0.0325 + 12.9675 * 0.5^2.2;  0.5^2.2 = 0.217637640824031
  EXPECT_NEAR(fujitsu(930), 2.854716107385622, 1e-9);
  EXPECT_NEAR(fujitsu(1320), 0.0325, 1e-12);
  EXPECT_NEAR(fujitsu(1349), 0.0325, 1e-12);  // 2 more epochs at the end rate
}

TEST(LrSchedule, FujitsuDecayFollowsTheRate) {
  const ScheduleSpec s = fujitsu_v06_schedule();
  EXPECT_EQ(weight_decay_factor(s, at(0, 15, 90)), 0);
  EXPECT_NEAR(weight_decay_factor(s, at(270, 15, 90)), 0.5, 1e-12);
  EXPECT_NEAR(weight_decay_factor(s, at(540, 15, 90)), 1, 1e-12);
  EXPECT_NEAR(weight_decay_factor(s, at(1320, 15, 90)), 0.0025, 1e-12);
  EXPECT_EQ(weight_decay_factor(goyal_schedule(), at(0, 15, 90)), 1);
}

TEST(LrSchedule, Goyal) {
  const std::int64_t spe = 157, batch = 8192;  // ceil(1281167 / 8192); peak 0.1 * 8192 / 256 = 3.2
  const auto lr = [&](std::int64_t epoch) { return learning_rate(goyal_schedule(), at(epoch * spe, spe, 90, batch)); };
  EXPECT_NEAR(lr(0), 0.1, 1e-12);
  EXPECT_NEAR(lr(1), 0.1 + 3.1 / 5, 1e-12);
  EXPECT_NEAR(lr(5), 3.2, 1e-12);
  EXPECT_NEAR(learning_rate(goyal_schedule(), at(30 * spe - 1, spe, 90, batch)), 3.2, 1e-12);
  EXPECT_NEAR(lr(30), 0.32, 1e-12);
  EXPECT_NEAR(learning_rate(goyal_schedule(), at(60 * spe - 1, spe, 90, batch)), 0.32, 1e-12);
  EXPECT_NEAR(lr(60), 0.032, 1e-12);
  EXPECT_NEAR(lr(80), 0.0032, 1e-12);
  EXPECT_NEAR(learning_rate(goyal_schedule(), at(90 * spe - 1, spe, 90, batch)), 0.0032, 1e-12);
  // Per step: the second step is 1/785 of the way.
  EXPECT_NEAR(learning_rate(goyal_schedule(), at(1, spe, 90, batch)), 0.1 + 3.1 / 785, 1e-12);
}

TEST(LrSchedule, LinearScalingRule) {
  EXPECT_NEAR(peak_rate(goyal_schedule(), 256), 0.1, 1e-15);
  EXPECT_NEAR(peak_rate(goyal_schedule(), 65536), 25.6, 1e-12);
  EXPECT_EQ(peak_rate(fujitsu_v06_schedule(), 65536), 13);
}

// 10 steps per epoch, 2 warm-up epochs of 10: W = 20, T = 100, power 2, peak 10, end 0.1.
ScheduleSpec poly(bool first_is_one) {
  ScheduleSpec s;
  s.base_lr = 10;
  s.warmup_epochs = 2;
  s.decay = DecayKind::Polynomial;
  s.power = 2;
  s.end_lr = 0.1;
  s.first_step_is_one = first_is_one;
  return s;
}

TEST(LrSchedule, Poly2CountedFromZeroAsInTensorFlow) {
  const auto lr = [](std::int64_t t) { return learning_rate(poly(false), at(t, 10, 10)); };
  EXPECT_EQ(lr(0), 0);
  EXPECT_NEAR(lr(10), 5, 1e-12);
  EXPECT_NEAR(lr(20), 10, 1e-12);
  EXPECT_NEAR(lr(60), 0.1 + 9.9 * std::pow(1 - 40.0 / 81, 2), 1e-12);  // (t - W) / (T - W + 1)
  EXPECT_NEAR(lr(99), 0.1 + 9.9 * std::pow(2.0 / 81, 2), 1e-12);       // the last update is not yet at the end rate
}

TEST(LrSchedule, Poly2CountedFromOneAsInMxnet) {
  const auto lr = [](std::int64_t step) { return learning_rate(poly(true), at(step, 10, 10)); };
  EXPECT_NEAR(lr(0), 0.5, 1e-12);  // t = 1: 10 * 1 / 20
  EXPECT_NEAR(lr(19), 10, 1e-12);  // t = 20
  EXPECT_NEAR(lr(59), 0.1 + 9.9 * std::pow(1 - 40.0 / 80, 2), 1e-12);
  EXPECT_NEAR(lr(99), 0.1, 1e-12);  // t = T
}

TEST(LrSchedule, TensorFlowPresets) {
  EXPECT_EQ(mlperf_tf_schedule(4096).base_lr, 10.0);
  EXPECT_EQ(mlperf_tf_schedule(16384).base_lr, 25.0);
  EXPECT_EQ(mlperf_tf_schedule(16384).warmup_epochs, 5);
  EXPECT_EQ(mlperf_tf_schedule(32768).base_lr, 31.2);
  EXPECT_EQ(mlperf_tf_schedule(32768).warmup_epochs, 25);
  EXPECT_NEAR(learning_rate(mlperf_tf_schedule(32768), at(25 * 40, 40, 64, 32768)), 31.2, 1e-12);
}

TEST(LrSchedule, WarmupKinds) {
  ScheduleSpec s;
  s.base_lr = 0.8;
  s.warmup_epochs = 5;
  s.warmup_start_lr = 0.1;
  s.decay = DecayKind::Constant;
  s.warmup = WarmupKind::None;
  EXPECT_EQ(learning_rate(s, at(0, 10, 90)), 0.8);
  s.warmup = WarmupKind::Constant;
  EXPECT_EQ(learning_rate(s, at(49, 10, 90)), 0.1);
  EXPECT_EQ(learning_rate(s, at(50, 10, 90)), 0.8);
  s.warmup = WarmupKind::Gradual;
  EXPECT_NEAR(learning_rate(s, at(25, 10, 90)), 0.45, 1e-15);
}

TEST(LrSchedule, LinearAndCosine) {
  ScheduleSpec s;
  s.base_lr = 1;
  s.warmup = WarmupKind::None;
  s.end_lr = 0.2;
  s.decay = DecayKind::Linear;
  EXPECT_NEAR(learning_rate(s, at(25, 10, 10)), 0.2 + 0.8 * 0.75, 1e-15);
  s.decay = DecayKind::Cosine;
  EXPECT_NEAR(learning_rate(s, at(25, 10, 10)), 0.2 + 0.8 * (1 + std::numbers::sqrt2 / 2) / 2, 1e-15);
  EXPECT_NEAR(learning_rate(s, at(50, 10, 10)), 0.6, 1e-15);
}

TEST(LrSchedule, WarmupLongerThanTheRunIsShortened) {
  const ScheduleSpec s = fujitsu_v06_schedule();  // 36 warm-up epochs
  EXPECT_EQ(effective_warmup(s, 10), 10);
  EXPECT_NEAR(learning_rate(s, at(75, 15, 10)), 6.5, 1e-12);  // half of 10 epochs
  EXPECT_NEAR(learning_rate(s, at(149, 15, 10)), 13 * 149.0 / 150, 1e-12);
}

TEST(LrSchedule, MomentumScale) {
  EXPECT_EQ(momentum_scale(0.2, 0.1), 2);
  EXPECT_EQ(momentum_scale(0.2, 0), 1);
}

TEST(LrSchedule, BatchGrowsAtEpochsInAnyOrderOfEntries) {
  ScheduleSpec s;
  s.batches = {{60, 16384}, {30, 8192}};
  EXPECT_EQ(global_batch_at(s, 0, 1024), 1024);
  EXPECT_EQ(global_batch_at(s, 29.999, 1024), 1024);
  EXPECT_EQ(global_batch_at(s, 30, 1024), 8192);
  EXPECT_EQ(global_batch_at(s, 60, 1024), 16384);
  // With the linear rule the rate grows with the batch.
  s.base_lr = 0.1;
  s.linear_scaling_base = 256;
  EXPECT_NEAR(peak_rate(s, global_batch_at(s, 30, 1024)), 3.2, 1e-12);
}

struct Drawn {
  ScheduleSpec schedule;
  std::int64_t steps_per_epoch = 1, epochs = 1;
  std::int64_t steps() const { return steps_per_epoch * epochs; }
  double rate(std::int64_t step) const {
    return learning_rate(schedule, at(step, steps_per_epoch, static_cast<double>(epochs)));
  }
};

Drawn draw() {
  Drawn d;
  d.steps_per_epoch = *rc::gen::inRange<std::int64_t>(1, 40);
  d.epochs = *rc::gen::inRange<std::int64_t>(1, 40);
  ScheduleSpec& s = d.schedule;
  s.base_lr = *rc::gen::inRange(1, 2000) * 0.01;
  s.end_lr = s.base_lr * *rc::gen::inRange(0, 100) * 0.01;
  s.warmup_start_lr = s.base_lr * *rc::gen::inRange(0, 100) * 0.01;
  s.warmup = *rc::gen::element(WarmupKind::None, WarmupKind::Gradual);
  s.warmup_epochs = *rc::gen::inRange(1, 50);
  s.decay = *rc::gen::element(DecayKind::Constant, DecayKind::Step, DecayKind::Linear, DecayKind::Polynomial,
                              DecayKind::Cosine);
  s.power = 1 + *rc::gen::inRange(0, 20) * 0.1;
  s.decay_epochs = *rc::gen::inRange(0, 30);
  s.first_step_is_one = *rc::gen::arbitrary<bool>();
  return d;
}

RC_GTEST_PROP(LrScheduleProperty, BetweenZeroAndPeakAndMonotone, ()) {
  const Drawn d = draw();
  const double warmup = effective_warmup(d.schedule, static_cast<double>(d.epochs));
  double previous = -1;
  for (std::int64_t step = 0; step < d.steps(); ++step) {
    const double rate = d.rate(step);
    RC_ASSERT(rate >= 0);
    RC_ASSERT(rate <= d.schedule.base_lr * (1 + 1e-12));
    const double e = static_cast<double>(step) / static_cast<double>(d.steps_per_epoch);
    if (previous >= 0 && e < warmup - 1e-9 && !d.schedule.first_step_is_one) RC_ASSERT(rate >= previous - 1e-12);
    const double before = e - 1.0 / static_cast<double>(d.steps_per_epoch);
    if (previous >= 0 && before >= warmup) RC_ASSERT(rate <= previous + 1e-12);
    previous = rate;
  }
}

// A step changes the rate by at most its slope: warm-up peak / W; decay peak max(power, pi / 2) / D. Step decay jumps
// and is left out.
RC_GTEST_PROP(LrScheduleProperty, Continuous, ()) {
  Drawn d = draw();
  if (d.schedule.decay == DecayKind::Step) d.schedule.decay = DecayKind::Cosine;
  const double h = 1.0 / static_cast<double>(d.steps_per_epoch), epochs = static_cast<double>(d.epochs);
  const double warmup = effective_warmup(d.schedule, epochs);
  const double length = d.schedule.decay_epochs > 0 ? d.schedule.decay_epochs : epochs - warmup;
  double slope = warmup > 0 ? d.schedule.base_lr / warmup : 0;
  const double steepest = std::max(d.schedule.power, std::numbers::pi / 2);
  if (length > 0) slope = std::max(slope, d.schedule.base_lr * steepest / length);
  for (std::int64_t step = 1; step < d.steps(); ++step) {
    RC_ASSERT(std::abs(d.rate(step) - d.rate(step - 1)) <= slope * h * (1 + 1e-9) + 1e-12);
  }
}

}  // namespace
}  // namespace lockstep
