#include "core/run/training_loop.hpp"

#include <gtest/gtest.h>

#include "core/model/zoo.hpp"
#include "core/plan/planner.hpp"

namespace lockstep {
namespace {

/// Notes what the loop asks for; every step takes a second, every evaluation ten.
class Recorder final : public World {
 public:
  WorldInfo info() const override { return {"recorder", 1, ""}; }
  Time now() const override { return clock; }
  void prepare(const RunPlan&) override {}
  StepResult run(const StepProgram&, std::span<const StepArgs> steps, const StepObserver& observer) override {
    StepResult r;
    for (const StepArgs& a : steps) {
      args.push_back(a);
      clock += Time::seconds(1);
      r.elapsed += Time::seconds(1);
      r.images += a.images;
      ++r.steps;
      if (observer && !observer(r.steps, clock)) break;
    }
    spans.push_back(r.steps);
    return r;
  }
  EvalResult evaluate(const StepProgram&, const EvalArgs& a) override {
    evaluations.push_back(a.epoch);
    clock += Time::seconds(10);
    return {Time::seconds(10), {}, Figure::exactly(50)};
  }
  void save(const std::string& id, const LoopState&) override { saved.push_back(id); }
  LoopState restore(const std::string&) override { return {}; }
  bool any(bool mine) override { return mine; }
  Timeline timeline(std::span<const Rank>, std::span<const std::int64_t>) const override { return {}; }

  Time clock;
  std::vector<StepArgs> args;
  std::vector<std::int64_t> spans;
  std::vector<double> evaluations;
  std::vector<std::string> saved;
};

RunSpec run_of(double epochs) {
  RunSpec run;
  run.model.name = "resnet20";
  run.training.epochs = epochs;
  run.training.global_batch = 100;
  run.training.log_every = 1000;
  run.training.evaluate_every = 2;
  run.data.training_images = 1000;
  run.data.validation_images = 100;
  return run;
}

ProgramFactory factory(const RunSpec& run, std::vector<std::int64_t>* asked = nullptr) {
  return [run, asked](std::int64_t batch) {
    if (asked) asked->push_back(batch);
    auto graph = std::make_shared<const ModelGraph>(fuse(build_model("resnet20")));
    return plan_step(run, run.training.global_batch, NodeSpec{}, graph, {},
                     [](const CollectivePlan&) { return Time::zero(); });
  };
}

TEST(Loop, HandsOverUpToTheNextEvent) {
  // 5 epochs of 10 steps, evaluation every 2 epochs and at the end: spans of 20, 20, 10.
  Recorder world;
  const RunSpec run = run_of(5);
  const TrainingResult r = train(run, world, factory(run), {});
  EXPECT_EQ(world.spans, (std::vector<std::int64_t>{20, 20, 10}));
  EXPECT_EQ(world.evaluations, (std::vector<double>{2, 4, 5}));
  EXPECT_EQ(r.steps, 50);
  EXPECT_EQ(r.elapsed, Time::seconds(50 + 30));
  EXPECT_EQ(r.stepping, Time::seconds(50));
  EXPECT_EQ(r.evaluating, Time::seconds(30));
  EXPECT_EQ(r.top1->value, 50);
}

TEST(Loop, LogLinesCutSpans) {
  Recorder world;
  RunSpec run = run_of(2);
  run.training.log_every = 8;
  int lines = 0;
  LoopHooks hooks;
  hooks.log = [&](const LogRecord& r) { lines += r.kind == LogRecord::Kind::Steps; };
  train(run, world, factory(run), hooks);
  EXPECT_EQ(world.spans, (std::vector<std::int64_t>{8, 8, 4}));
  EXPECT_EQ(lines, 3);
}

TEST(Loop, LastStepOfAnEpochIsShort) {
  Recorder world;
  RunSpec run = run_of(2);
  run.data.training_images = 950;
  train(run, world, factory(run), {});
  EXPECT_EQ(world.args[8].images, 100);
  EXPECT_EQ(world.args[9].images, 50);
  EXPECT_EQ(world.args[9].first_sample, 900);
  EXPECT_EQ(world.args[10].first_sample, 0);  // the next epoch begins anew
}

TEST(Loop, BatchSchedule) {
  // Smith et al.: batch 100 for one epoch (10 steps), then 200 (5 steps an epoch). Programs are made once per batch.
  Recorder world;
  RunSpec run = run_of(3);
  run.schedule.batches = {{1, 200}};
  std::vector<std::int64_t> asked;
  const TrainingResult r = train(run, world, factory(run, &asked), {});
  EXPECT_EQ(r.steps, 20);
  EXPECT_EQ(asked, (std::vector<std::int64_t>{100, 200}));
  EXPECT_EQ(world.args[9].images, 100);
  EXPECT_EQ(world.args[10].images, 200);
  EXPECT_DOUBLE_EQ(world.args[15].epoch, 2);
}

TEST(Loop, ObserverStopsAndSaves) {
  Recorder world;
  const RunSpec run = run_of(5);
  LoopHooks hooks;
  hooks.observer = [](std::int64_t done, Time) { return done < 7; };
  const TrainingResult r = train(run, world, factory(run), hooks);
  EXPECT_TRUE(r.stopped);
  EXPECT_EQ(r.steps, 7);
  EXPECT_EQ(world.saved, (std::vector<std::string>{"step-7"}));
  EXPECT_TRUE(world.evaluations.empty());
}

TEST(Loop, StepArgsOfFujitsu) {
  // Batch 86,016: 15 steps an epoch; rate 13 at step 540 (epoch 36); decay follows; augmentation off from epoch 85.
  RunSpec run;
  run.training.epochs = 90;
  run.training.global_batch = 86016;
  run.training.augmentation_off_from = 85;
  run.optimizer.weight_decay = 5e-5;
  run.schedule.base_lr = 13;
  run.schedule.warmup_epochs = 36;
  run.schedule.decay = DecayKind::Polynomial;
  run.schedule.power = 2.2;
  run.schedule.end_lr = 0.0325;
  run.schedule.decay_epochs = 52;
  run.schedule.weight_decay = WeightDecayKind::WithRate;
  EXPECT_EQ(total_steps(run), 1350);
  EXPECT_DOUBLE_EQ(step_args(run, 270).lr, 6.5);
  EXPECT_DOUBLE_EQ(step_args(run, 540).lr, 13);
  EXPECT_NEAR(step_args(run, 540).weight_decay, 5e-5, 1e-18);
  EXPECT_NEAR(step_args(run, 1320).lr, 0.0325, 1e-12);
  EXPECT_NEAR(step_args(run, 270).momentum_scale, 270.0 / 269, 1e-12);
  EXPECT_TRUE(step_args(run, 1274).augment);
  EXPECT_FALSE(step_args(run, 1275).augment);
  EXPECT_EQ(step_args(run, 14).images, 1281167 - 14 * 86016);
}

TEST(Loop, WarnsAboutSchedules) {
  RunSpec run = run_of(3);
  run.schedule.warmup_epochs = 36;
  ASSERT_GE(schedule_warnings(run).size(), 1u);
  EXPECT_EQ(schedule_warnings(run)[0], "warm-up of 36 epochs is longer than the run (3); shortened to 3");
}

}  // namespace
}  // namespace lockstep
