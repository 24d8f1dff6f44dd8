// Training for real, on ranks that are threads: equal bits where they are promised, close values elsewhere.
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "core/plan/planner.hpp"
#include "core/run/training_loop.hpp"
#include "core/spec/words.hpp"
#include "real/checkpoint/checkpoint.hpp"
#include "real/comm/thread_transport.hpp"
#include "real/cpu/cpu_device.hpp"
#include "real/world/real_world.hpp"
#include "tests/real/world/small_run.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using test::distance;
using test::small_run;
using testing::HasSubstr;

struct Outcome {
  TrainingResult result;
  std::vector<std::string> log;  ///< of rank 0
  std::string error;             ///< of rank 0
};

class World : public testing::Test {
 protected:
  World()
      : directory_(fs::path(testing::TempDir()) / ("world_" + std::to_string(getpid()) +
                                                   testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(directory_);
  }
  ~World() override { fs::remove_all(directory_); }

  /// Trains on `ranks` threads; checkpoints go to directory `name`. `stop_after` > 0: rank 1 (or 0, alone) asks to stop after that many observed steps.
  Outcome train_on(RunSpec run, int ranks, const std::string& name, bool resume = false, int stop_after = 0) {
    run.cluster.gpus = ranks;
    EXPECT_THAT(validate(run), testing::IsEmpty());
    const auto graph =
        std::make_shared<const ModelGraph>(fuse(build_model(run.model.name, run.model.image_size, run.model.classes)));
    const auto training =
        open_synthetic(run.data.training_images, Split::Training, graph->input(), graph->classes, run.training.seed);
    const auto validation = open_synthetic(run.data.validation_images, Split::Validation, graph->input(),
                                           graph->classes, run.training.seed);
    auto transports = thread_transports(ranks);
    Outcome outcome;
    std::vector<std::thread> threads;
    for (auto& transport : transports) {
      threads.emplace_back([&, t = transport.get()] {
        const bool first = t->rank() == 0;
        RealWorldSettings settings;
        settings.device = cpu_device;
        settings.run = run;
        settings.transport = t;
        settings.training = training.get();
        settings.validation = validation.get();
        settings.checkpoints = directory_ / name;
        settings.warn = [&](const std::string& text) {
          const std::lock_guard lock(mutex_);
          outcome.log.push_back("warning: " + text);
        };
        try {
          RealWorld world(std::move(settings));
          LoopHooks hooks;
          if (resume) hooks.resume_from = "newest";
          int observed = 0;
          hooks.observer = [&](std::int64_t, Time) {
            return stop_after == 0 || t->rank() != ranks - 1 || ++observed < stop_after;
          };
          if (first) hooks.log = [&](const LogRecord& r) { outcome.log.push_back(r.text); };
          const auto programs = [&](std::int64_t batch) {
            NodeSpec node;
            node.gpus = ranks;
            return plan_step(run, batch, node, graph, {}, [](const CollectivePlan&) { return Time::zero(); });
          };
          const TrainingResult result = train(run, world, programs, hooks);
          if (first) outcome.result = result;
        } catch (const std::exception& e) {
          if (first) outcome.error = e.what();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    return outcome;
  }

  std::vector<float> block(const std::string& name, const std::string& which) const {
    return CheckpointStore(directory_ / name, 9).newest().checkpoint.blocks.at(which);
  }
  std::vector<float> weights(const std::string& name) const { return block(name, "weights"); }

  /// The whole of what the run file promises for reduction = "ordered", in epochs of ten steps.
  void expect_equal_bits_of_ordered_sums(int epochs) {
    RunSpec run = small_run();
    run.training.epochs = epochs;
    run.training.norm_group = 8;
    run.allreduce.reduction = Reduction::Ordered;
    run.data.training_images = 316;  // the last step of an epoch has 28 images: three groups of 8 and one of 4
    std::vector<double> losses;
    for (const int ranks : {1, 2, 4}) {
      const Outcome o = train_on(run, ranks, std::to_string(ranks));
      ASSERT_EQ(o.error, "");
      EXPECT_EQ(o.result.steps, 10 * epochs);
      losses.push_back(o.result.loss->value);
    }
    EXPECT_EQ(weights("2"), weights("1"));
    EXPECT_EQ(weights("4"), weights("1"));
    EXPECT_EQ(block("4", "velocity"), block("1", "velocity"));
    EXPECT_NEAR(losses[1], losses[0], 1e-12);
  }

  fs::path directory_;
  std::mutex mutex_;
};

using WorldSlow = World;

TEST_F(WorldSlow, LearnsAndCountsEveryValidationImageOnce) {
  RunSpec run = small_run();
  run.training.epochs = 8;
  const Outcome alone = train_on(run, 1, "a");
  ASSERT_EQ(alone.error, "");
  EXPECT_EQ(alone.result.steps, 80);
  EXPECT_GT(alone.result.top1->value, 60);  // 4 classes: 25 % by chance
  // 70 images: the accuracy is a multiple of 1/70, whatever the batches were.
  EXPECT_NEAR(std::round(alone.result.top1->value * 0.7), alone.result.top1->value * 0.7, 1e-9);
}

TEST_F(World, OrderedSumsGiveEqualBitsForOneTwoAndFourRanks) { expect_equal_bits_of_ordered_sums(1); }
TEST_F(WorldSlow, OrderedSumsGiveEqualBitsOverFiveEpochs) { expect_equal_bits_of_ordered_sums(5); }

// Ranks of equal batch-norm groups differ from one another only in the order of sums.
TEST_F(WorldSlow, EveryAlgorithmStaysCloseToOrderedSums) {
  RunSpec run = small_run();
  run.training.epochs = 1;  // ten steps
  run.training.norm_group = 8;
  run.allreduce.reduction = Reduction::Ordered;
  ASSERT_EQ(train_on(run, 1, "reference").error, "");
  const auto reference = weights("reference");
  run.allreduce.reduction = Reduction::Planned;
  for (const auto algorithm : {AllreduceAlgorithm::Ring, AllreduceAlgorithm::HalvingDoubling, AllreduceAlgorithm::Tree,
                               AllreduceAlgorithm::Hierarchical}) {
    run.allreduce.algorithm = algorithm;
    run.allreduce.across = AllreduceAlgorithm::Ring;
    const std::string name = "algorithm " + std::to_string(static_cast<int>(algorithm));
    ASSERT_EQ(train_on(run, 4, name).error, "");
    EXPECT_LT(distance(weights(name), reference), 1e-5) << name;
  }
  run.allreduce.reduction = Reduction::Mpi;
  ASSERT_EQ(train_on(run, 2, "library").error, "");
  EXPECT_LT(distance(weights("library"), reference), 1e-5);
  run.allreduce.reduction = Reduction::Planned;
  run.allreduce.wire = WireFormat::Bf16;
  ASSERT_EQ(train_on(run, 4, "bf16").error, "");
  EXPECT_LT(distance(weights("bf16"), reference), 0.02);
}

TEST_F(World, AccumulationGivesTheSameSumsAsMoreRanks) {
  RunSpec run = small_run();
  run.training.epochs = 1;
  ASSERT_EQ(train_on(run, 4, "ranks").error, "");
  run.training.accumulation = 4;
  ASSERT_EQ(train_on(run, 1, "accumulated").error, "");
  EXPECT_LT(distance(weights("accumulated"), weights("ranks")), 1e-5);
}

TEST_F(WorldSlow, ResumingInTheMiddleOfAnEpochIsBitIdentical) {
  RunSpec run = small_run();
  run.optimizer.kind = OptimizerKind::Lars;
  run.schedule.base_lr = 1;
  run.training.accumulation = 2;
  run.data.training_images = 310;  // a short last step
  for (const int ranks : {1, 2}) {
    const std::string whole = "whole" + std::to_string(ranks), parts = "parts" + std::to_string(ranks);
    ASSERT_EQ(train_on(run, ranks, whole).error, "");
    const Outcome first = train_on(run, ranks, parts, false, 13);  // ten steps per epoch
    EXPECT_TRUE(first.result.stopped);
    EXPECT_EQ(first.result.steps, 13);
    const Outcome second = train_on(run, ranks, parts, true);
    ASSERT_EQ(second.error, "");
    EXPECT_EQ(second.result.steps, 7);
    EXPECT_EQ(weights(parts), weights(whole));
    EXPECT_EQ(block(parts, "velocity"), block(whole, "velocity"));
    EXPECT_EQ(block(parts, "statistics 0"), block(whole, "statistics 0"));
  }
}

// Every step is a chunk of its own for the loop: whoever stops, stops after the last step of a chunk.
TEST_F(World, StopsBetweenChunksToo) {
  RunSpec run = small_run();
  run.training.log_every = 1;
  for (const int ranks : {1, 2}) {
    const Outcome outcome = train_on(run, ranks, "stopped" + std::to_string(ranks), false, 3);
    EXPECT_TRUE(outcome.result.stopped);
    EXPECT_EQ(outcome.result.steps, 3);
  }
}

TEST_F(World, ADamagedCheckpointIsPassedOver) {
  RunSpec run = small_run();
  run.training.checkpoint_every = 0.5;
  ASSERT_EQ(train_on(run, 1, "a").error, "");
  const CheckpointStore store(directory_ / "a", 9);
  EXPECT_THAT(store.ids(), testing::ElementsAre("step-20", "step-15", "step-10"));  // three are kept
  fs::resize_file(store.path_of("step-20"), 5000);
  const Outcome again = train_on(run, 1, "a", true);
  ASSERT_EQ(again.error, "");
  EXPECT_EQ(again.result.steps, 5);
  EXPECT_THAT(again.log, testing::Contains(HasSubstr("step-20.ckpt")));
}

TEST_F(World, ACheckpointOfAnotherModelOrRunIsRefused) {
  RunSpec run = small_run();
  run.training.epochs = 1;
  ASSERT_EQ(train_on(run, 1, "a").error, "");
  run.model.name = "resnet14";
  EXPECT_THAT(train_on(run, 2, "a", true).error, HasSubstr("the checkpoint is of resnet8"));
  run = small_run();
  run.training.epochs = 0.5;
  EXPECT_THAT(train_on(run, 1, "a", true).error, HasSubstr("it stands at step 10, but the run ends at step 5"));
}

TEST_F(World, AnotherNumberOfRanksMayResume) {
  RunSpec run = small_run();
  ASSERT_EQ(train_on(run, 2, "a", false, 5).error, "");
  const Outcome more = train_on(run, 4, "a", true);
  ASSERT_EQ(more.error, "");
  EXPECT_EQ(more.result.steps, 15);
  EXPECT_THAT(more.log, testing::Contains(HasSubstr("written by 2 ranks, this run has 4")));
}

TEST_F(World, ALossThatIsNotFiniteEndsTheRunOnEveryRank) {
  RunSpec run = small_run();
  run.training.checkpoint_every = 0.1;
  run.schedule.base_lr = 1e12;
  const Outcome o = train_on(run, 2, "a");
  EXPECT_THAT(o.error, testing::AllOf(HasSubstr("the loss became"), HasSubstr("step-")));
}

TEST_F(WorldSlow, StatisticsPolicies) {
  RunSpec run = small_run();
  std::vector<double> top1;
  for (const NormAverages averages : {NormAverages::Rank0, NormAverages::Mean, NormAverages::Recompute}) {
    const std::string policy = word_of(averages);
    run.training.norm_statistics = averages;
    const Outcome o = train_on(run, 2, policy);
    ASSERT_EQ(o.error, "") << policy;
    ASSERT_TRUE(o.result.top1.has_value());
    top1.push_back(o.result.top1->value);
  }
  EXPECT_EQ(weights("rank0"), weights("recompute"));  // evaluation never touches training
  EXPECT_EQ(weights("rank0"), weights("mean"));
}

}  // namespace
}  // namespace lockstep
