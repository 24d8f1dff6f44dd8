// Whole runs on a GPU: losses, bits, graphs against single launches, ranks, checkpoints, timelines.
#include <cmath>
#include <map>
#include <set>

#include "tests/gpu/device_run.hpp"
#include "tests/gpu/machine.hpp"

namespace lockstep {
namespace {

using namespace test;
using testing::HasSubstr;

class DeviceGpu : public testing::Test, protected Runs {
 protected:
  void SetUp() override {
    if (show_devices(4) == 0) GTEST_SKIP() << "no GPU";
  }
  /// Both must end without an error; weights, velocity and averages have equal bits.
  void expect_equal_runs(const RunSpec& a, const Order& on_a, const RunSpec& b, const Order& on_b) {
    const Outcome first = train_on(a, on_a), second = train_on(b, on_b);
    ASSERT_EQ(first.error(), "");
    ASSERT_EQ(second.error(), "");
    EXPECT_EQ(first.losses, second.losses);
    expect_equal(on_a.name, on_b.name);
  }
  void expect_equal(const std::string& a, const std::string& b) {
    EXPECT_EQ(weights(a), weights(b));
    EXPECT_EQ(block(a, "velocity"), block(b, "velocity"));
    EXPECT_EQ(block(a, "statistics 0"), block(b, "statistics 0"));
  }
  static Order named(const std::string& name, int ranks = 1) {
    Order o;
    o.name = name;
    o.ranks = ranks;
    return o;
  }
  /// Against processors, which compute in fp32 too: some 10^4 roundings of 2^-24 per value at random, and six steps.
  void expect_follows_processors(const RunSpec& run, int ranks = 1) {
    Order reference = named("cpu", ranks);
    reference.device = reference_device();
    if (!reference.device) GTEST_SKIP() << "no processor backend in this program";
    const Outcome want = train_on(run, reference), got = train_on(run, named("gpu", ranks));
    ASSERT_EQ(want.error(), "");
    ASSERT_EQ(got.error(), "");
    ASSERT_EQ(got.losses.size(), want.losses.size());
    for (std::size_t i = 0; i < want.losses.size(); ++i)
      EXPECT_NEAR(got.losses[i], want.losses[i], 1e-4 * want.losses[i]) << "step " << i;
    EXPECT_LT(distance(weights("gpu"), weights("cpu")), 1e-4);
    ASSERT_EQ(got.result.top1.has_value(), want.result.top1.has_value());
    if (got.result.top1) {
      EXPECT_EQ(got.result.top1->value, want.result.top1->value);
    }
  }
};
using DeviceGpuSlow = DeviceGpu;

TEST_F(DeviceGpu, LossesFollowTheProcessors) { expect_follows_processors(tiny_run()); }

TEST_F(DeviceGpuSlow, LarsFollowsTheProcessors) {
  RunSpec run = tiny_run();
  run.optimizer.kind = OptimizerKind::Lars;
  run.schedule.base_lr = 1;
  run.training.accumulation = 4;  // more micro-steps than the device has buffers of images
  run.data.training_images = 23;
  expect_follows_processors(run);
}

TEST_F(DeviceGpuSlow, EvaluationCountsEveryImageOnce) {
  RunSpec run = tiny_run();
  run.training.epochs = 1;
  run.data.validation_images = 19;
  for (const NormAverages policy : {NormAverages::Mean, NormAverages::Rank0, NormAverages::Recompute}) {
    run.training.norm_statistics = policy;
    expect_follows_processors(run);
    if (IsSkipped()) return;
  }
}

TEST_F(DeviceGpuSlow, EvaluationOfTwoRanks) {
  RunSpec run = tiny_run();
  run.training.epochs = 1;
  run.data.validation_images = 19;
  for (const NormAverages policy : {NormAverages::Mean, NormAverages::Rank0, NormAverages::Recompute}) {
    run.training.norm_statistics = policy;
    expect_follows_processors(run, 2);
    if (IsSkipped()) return;
  }
}

// Steps 1 and later are replayed; the last of an epoch is short (7 of 8 images) and runs operation by operation.
TEST_F(DeviceGpu, GraphsGiveTheBitsOfSingleLaunches) {
  RunSpec run = tiny_run();
  run.data.training_images = 31;
  run.training.epochs = 1.5;
  RunSpec plain = run;
  plain.real.cuda_graph = false;
  Order traced = named("graph");
  traced.traced = {2, 1};
  expect_equal_runs(run, traced, plain, named("plain"));
}

TEST_F(DeviceGpuSlow, GraphsWithAccumulationAndSeveralStepsAhead) {
  RunSpec run = tiny_run(), plain = run;
  run.training.log_every = 100;  // all steps in one call: a step begins while the one before runs
  plain.real.cuda_graph = false;
  const Outcome a = train_on(run, named("graph")), b = train_on(plain, named("plain"));
  ASSERT_EQ(a.error() + b.error(), "");
  EXPECT_EQ(a.result.loss->value, b.result.loss->value);
  expect_equal("graph", "plain");
  run.training.log_every = 1;
  run.training.accumulation = plain.training.accumulation = 2;
  expect_equal_runs(run, named("graph 2"), plain, named("plain 2"));
}

TEST_F(DeviceGpuSlow, SixteenBits) {
  for (const Precision precision : {Precision::Bf16, Precision::Fp16}) {
    RunSpec run = tiny_run();
    run.training.precision = precision;
    run.optimizer.kind = OptimizerKind::Lars;
    run.schedule.base_lr = 1;
    RunSpec plain = run;
    plain.real.cuda_graph = false;
    const std::string suffix = precision == Precision::Bf16 ? " bf16" : " fp16";
    expect_equal_runs(run, named("graph" + suffix), plain, named("plain" + suffix));
    RunSpec full = tiny_run();
    full.optimizer = run.optimizer;
    full.schedule = run.schedule;
    const Outcome wide = train_on(full, named("full" + suffix));
    ASSERT_EQ(wide.error(), "");
    // Roundings of 2^-8 (bf16) or 2^-11 in some 20 layers, after six steps.
    EXPECT_LT(distance(weights("graph" + suffix), weights("full" + suffix)), precision == Precision::Bf16 ? 0.1 : 0.02);
  }
}

// 8 images per micro-batch: the scale begins at 16384 / 8. After a run, its checkpoint is given a scale that overflows.
TEST_F(DeviceGpu, AnOverflowSkipsTheStepAndHalvesTheScale) {
  for (const bool graph : {false, true}) {
    RunSpec run = tiny_run();
    run.training.precision = Precision::Fp16;
    run.training.log_every = 100;
    run.real.cuda_graph = graph;
    const std::string name = graph ? "graph" : "plain";
    Order first = named(name);
    first.stop_after = 2;
    const Outcome begun = train_on(run, first);
    ASSERT_EQ(begun.error(), "");
    const Checkpoint before = newest(name);
    EXPECT_EQ(before.number("loss_scale"), 2048);
    EXPECT_EQ(before.integer("loss_scale_good_steps"), before.integer("step"));
    set_scale(name, 16777216);
    Order second = named(name);
    second.resume = true;
    second.stop_after = 1;
    const Outcome skipped = train_on(run, second);
    ASSERT_EQ(skipped.error(), "");
    const Checkpoint after = newest(name);
    EXPECT_GT(after.integer("step"), before.integer("step"));
    EXPECT_GE(skipped.result.steps, 1);
    EXPECT_EQ(after.number("loss_scale"), std::ldexp(16777216.0, -static_cast<int>(skipped.result.steps)));
    EXPECT_EQ(begun.result.skipped, 0);
    EXPECT_EQ(begun.result.loss_scale, 2048);
    EXPECT_EQ(skipped.result.skipped, skipped.result.steps);
    EXPECT_EQ(skipped.result.loss_scale, after.number("loss_scale"));
    EXPECT_EQ(after.integer("loss_scale_good_steps"), 0);
    EXPECT_EQ(after.blocks.at("weights"), before.blocks.at("weights"));
    EXPECT_EQ(after.blocks.at("velocity"), before.blocks.at("velocity"));
  }
}

TEST_F(DeviceGpu, AConstantScaleStays) {
  RunSpec run = tiny_run();
  run.training.precision = Precision::Fp16;
  run.training.epochs = 1;
  run.real.loss_scale = 64;
  ASSERT_EQ(train_on(run, named("a")).error(), "");
  EXPECT_EQ(newest("a").number("loss_scale"), 64);
}

// ---- ranks ----

TEST_F(DeviceGpuSlow, OrderedSumsGiveEqualBitsForOneTwoAndFourRanks) {
  RunSpec run = tiny_run();
  run.training.norm_group = 2;
  run.allreduce.reduction = Reduction::Ordered;
  run.data.training_images = 22;  // the last step of an epoch has three groups
  for (const int ranks : {1, 2, 4}) {
    const Outcome o = train_on(run, named(std::to_string(ranks), ranks));
    ASSERT_EQ(o.error(), "") << ranks;
    if (ranks > 1) {
      EXPECT_THAT(o.info, HasSubstr("through the host"));
    }
  }
  EXPECT_EQ(weights("2"), weights("1"));
  EXPECT_EQ(weights("4"), weights("1"));
  EXPECT_EQ(block("4", "velocity"), block("1", "velocity"));
}

TEST_F(DeviceGpuSlow, PlannedSumsOverNcclAndThroughTheHost) {
  RunSpec run = tiny_run();
  run.training.norm_group = 2;
  run.allreduce.reduction = Reduction::Ordered;
  ASSERT_EQ(train_on(run, named("ordered")).error(), "");
  run.allreduce.reduction = Reduction::Planned;
  for (const int devices : {1, 4}) {
    const int visible = show_devices(devices);
    for (const int ranks : {2, 4}) {
      const std::string name = std::to_string(devices) + " " + std::to_string(ranks);
      const Outcome o = train_on(run, named(name, ranks));
      ASSERT_EQ(o.error(), "") << name;
      EXPECT_THAT(o.info, HasSubstr(visible >= ranks ? "over NCCL" : "through the host"));
      EXPECT_LT(distance(weights(name), weights("ordered")), 1e-5) << name;
    }
  }
}

TEST_F(DeviceGpuSlow, NcclInGraphsGivesTheBitsOfSingleLaunches) {
  RunSpec run = tiny_run();
  run.data.training_images = 31;
  run.training.epochs = 1.5;
  RunSpec plain = run;
  plain.real.cuda_graph = false;
  for (const int ranks : {2, 4}) {
    const std::string n = std::to_string(ranks);
    Order traced = named("graph" + n, ranks);
    traced.traced = {3, 2};
    expect_equal_runs(run, traced, plain, named("plain" + n, ranks));
  }
}

TEST_F(DeviceGpuSlow, SixteenBitsTravelOverNcclAndThroughTheHost) {
  RunSpec run = tiny_run();
  run.training.precision = Precision::Fp16;
  for (const int devices : {1, 4}) {
    show_devices(devices);
    const std::string name = "fp16 on " + std::to_string(devices);
    ASSERT_EQ(train_on(run, named(name, 2)).error(), "");
  }
  EXPECT_LT(distance(weights("fp16 on 4"), weights("fp16 on 1")), 0.01);
}

// More ranks than the last step has images for: two ranks have none.
TEST_F(DeviceGpuSlow, RanksWithoutImagesTakePart) {
  RunSpec run = tiny_run();
  run.training.epochs = 1;
  run.data.training_images = 18;
  for (const int devices : {1, 4}) {
    show_devices(devices);
    const std::string name = std::to_string(devices);
    ASSERT_EQ(train_on(run, named(name, 4)).error(), "");
  }
  EXPECT_LT(distance(weights("4"), weights("1")), 1e-5);
}

// ---- checkpoints ----

TEST_F(DeviceGpuSlow, ResumingInTheMiddleOfAnEpochIsBitIdentical) {
  RunSpec run = tiny_run();
  run.training.precision = Precision::Fp16;
  run.optimizer.kind = OptimizerKind::Lars;
  run.schedule.base_lr = 1;
  run.training.log_every = 100;
  run.data.training_images = 30;  // four steps per epoch, the last with six images
  for (const int ranks : {1, 2}) {
    const std::string whole = "whole" + std::to_string(ranks), parts = "parts" + std::to_string(ranks);
    ASSERT_EQ(train_on(run, named(whole, ranks)).error(), "");
    Order first = named(parts, ranks), second = named(parts, ranks);
    first.stop_after = 5;
    second.resume = true;
    const Outcome begun = train_on(run, first);
    ASSERT_EQ(begun.error(), "");
    EXPECT_TRUE(begun.result.stopped);
    const Outcome rest = train_on(run, second);
    ASSERT_EQ(rest.error(), "");
    EXPECT_EQ(begun.result.steps + rest.result.steps, 8);
    expect_equal(parts, whole);
    EXPECT_EQ(newest(parts).number("loss_scale"), newest(whole).number("loss_scale"));
    EXPECT_EQ(newest(parts).integer("loss_scale_good_steps"), newest(whole).integer("loss_scale_good_steps"));
  }
}

TEST_F(DeviceGpuSlow, CheckpointsOfProcessorsAndGpusAreTheSame) {
  const auto reference = reference_device();
  if (!reference) GTEST_SKIP() << "no processor backend in this program";
  RunSpec run = tiny_run();
  run.training.epochs = 1;
  const auto turn = [&](bool gpu, double epochs, bool resume) {
    run.training.epochs = epochs;
    Order o = named("a");
    o.resume = resume;
    if (!gpu) o.device = reference;
    const Outcome out = train_on(run, o);
    EXPECT_EQ(out.error(), "");
    return out.result.steps;
  };
  EXPECT_EQ(turn(false, 1, false), 3);
  const auto by_processors = newest("a").blocks;
  // A run that is through saves again what it restored.
  EXPECT_EQ(turn(true, 1, true), 0);
  EXPECT_EQ(newest("a").blocks, by_processors);
  EXPECT_EQ(turn(true, 2, true), 3);
  const auto by_gpu = newest("a").blocks;
  EXPECT_NE(by_gpu, by_processors);
  EXPECT_EQ(turn(false, 2, true), 0);
  EXPECT_EQ(newest("a").blocks, by_gpu);
}

// ---- timelines ----

TEST_F(DeviceGpuSlow, TimelinesHaveTheNamesOfTheProcessors) {
  const auto reference = reference_device();
  for (const int ranks : {1, 2}) {
    RunSpec run = tiny_run();
    Order traced = named("gpu" + std::to_string(ranks), ranks);
    traced.traced = {2, 2};
    const Outcome got = train_on(run, traced);
    ASSERT_EQ(got.error(), "");
    for (const TimelineEvent& e : got.timeline.events) {
      EXPECT_LE(e.begin, e.end) << e.name;
      EXPECT_GE(e.begin, Time::zero()) << e.name;
    }
    EXPECT_FALSE(got.timeline.events.empty());
    if (!reference) continue;
    traced.name = "cpu" + std::to_string(ranks);
    traced.device = reference;
    const Outcome want = train_on(run, traced);
    ASSERT_EQ(want.error(), "");
    const auto names = [](const Timeline& t) {
      std::multiset<std::string> out;
      for (const TimelineEvent& e : t.events)
        out.insert(std::to_string(e.rank.value) + " " + to_text(e.lane) + " " + std::to_string(e.step) + " " +
                   to_text(e.kind) + " " + e.name + " " + std::to_string(e.bytes.count()));
      return out;
    };
    EXPECT_EQ(names(got.timeline), names(want.timeline));
  }
}

TEST_F(DeviceGpuSlow, PartsOfAStepAddUp) {
  RunSpec run = tiny_run();
  run.training.log_every = 100;
  for (const bool graph : {false, true}) {
    run.real.cuda_graph = graph;
    const Outcome o = train_on(run, named(graph ? "graph" : "plain"));
    ASSERT_EQ(o.error(), "");
    // The first step's input is not known, and networks are built in it: the parts are those of the device.
    const StepResult& all = o.steps.back();
    const double sum = all.parts.total().seconds() * static_cast<double>(all.steps), whole = all.elapsed.seconds();
    EXPECT_GT(all.parts.forward, Time::zero());
    EXPECT_GT(all.parts.backward, Time::zero());
    EXPECT_GT(all.parts.update, Time::zero());
    EXPECT_LE(sum, whole * 1.01);
    EXPECT_GE(sum, whole * 0.5);
  }
}

}  // namespace
}  // namespace lockstep
