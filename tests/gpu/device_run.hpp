// Small runs of RealWorld on ranks that are threads, with all that they leave behind.
#pragma once

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/model/zoo.hpp"
#include "core/plan/planner.hpp"
#include "core/run/training_loop.hpp"
#include "real/checkpoint/checkpoint.hpp"
#include "real/comm/thread_transport.hpp"
#include "real/cuda/device/cuda_device.hpp"
#include "real/world/real_world.hpp"
#include "tests/real/world/small_run.hpp"

namespace lockstep::test {

/// Six steps of eight images of 16 x 16 pixels through a residual network of 8 convolutions.
inline RunSpec tiny_run() {
  RunSpec run = small_run();
  run.training.device = DeviceKind::Cuda;
  run.training.global_batch = 8;
  run.training.log_every = 1;
  run.data.training_images = 24;
  run.data.validation_images = 0;
  run.real.timeout = Time::seconds(60);
  return run;
}

/// Forwards to a device, and keeps the weights that it last told.
class Spy final : public Device {
 public:
  Spy(std::unique_ptr<Device> device, std::vector<float>* weights) : device_(std::move(device)), weights_(weights) {}
  std::string kind() const override { return device_->kind(); }
  std::string description() const override { return device_->description(); }
  ImageForm image_form() const override { return device_->image_form(); }
  void prepare(std::shared_ptr<const ModelGraph> graph, const ModelState& initial) override {
    device_->prepare(std::move(graph), initial);
  }
  void step(const StepProgram& program, const StepArgs& args, ImageFeed& feed) override {
    device_->step(program, args, feed);
  }
  StepOutcome result() override { return device_->result(); }
  int steps_ahead() const override { return device_->steps_ahead(); }
  void begin_evaluation(const std::vector<float>& statistics, std::int64_t images) override {
    device_->begin_evaluation(statistics, images);
  }
  BatchResult evaluate(const Batch& batch) override { return device_->evaluate(batch); }
  std::vector<float> statistics_of(const Batch& batch) override { return device_->statistics_of(batch); }
  ModelState state() override {
    ModelState out = device_->state();
    *weights_ = out.weights;
    return out;
  }
  void set_state(const ModelState& state) override { device_->set_state(state); }

 private:
  std::unique_ptr<Device> device_;
  std::vector<float>* weights_;
};

using MakeDevice = std::function<std::unique_ptr<Device>(const DeviceSettings&)>;

struct Order {
  int ranks = 1;
  std::string name = "a";  ///< of the directory of its checkpoints
  bool resume = false;
  int stop_after = 0;  ///< observed steps; 0: to the end
  TracedSteps traced;
  MakeDevice device = cuda_device;
  std::string id = "newest";
};

struct Outcome {
  TrainingResult result;
  std::vector<double> losses;               ///< of every step
  std::vector<StepResult> steps;            ///< of rank 0
  std::vector<std::string> errors;          ///< by rank
  std::vector<std::vector<float>> weights;  ///< by rank, at the end
  std::string info;
  Timeline timeline;
  std::string error() const {
    std::string all;
    for (const auto& e : errors) all += e;
    return all;
  }
};

/// Checkpoints in a directory of the test's own. All ranks must end with the same weights.
class Runs {
 public:
  Runs()
      : directory_(
            std::filesystem::path(testing::TempDir()) /
            ("device_" + std::to_string(getpid()) + testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(directory_);
  }
  ~Runs() { std::filesystem::remove_all(directory_); }

  Outcome train_on(RunSpec run, const Order& order) {
    run.cluster.gpus = order.ranks;
    EXPECT_THAT(validate(run), testing::IsEmpty());
    const auto graph =
        std::make_shared<const ModelGraph>(fuse(build_model(run.model.name, run.model.image_size, run.model.classes)));
    const auto open = [&](Split split) {
      if (run.data.kind != DataKind::Synthetic)
        return open_dataset(run.data, split, graph->input(), graph->classes, run.training.seed);
      const std::int64_t images = split == Split::Training ? run.data.training_images : run.data.validation_images;
      return open_synthetic(std::max<std::int64_t>(1, images), split, graph->input(), graph->classes,
                            run.training.seed);
    };
    const auto training = open(Split::Training), validation = open(Split::Validation);
    auto transports = thread_transports(order.ranks);
    Outcome outcome;
    outcome.errors.resize(static_cast<std::size_t>(order.ranks));
    outcome.weights.resize(outcome.errors.size());
    std::vector<std::thread> threads;
    for (auto& transport : transports) {
      threads.emplace_back([&, t = transport.get()] {
        RealWorldSettings settings;
        settings.device = [&, t](const DeviceSettings& s) {
          return std::make_unique<Spy>(order.device(s), &outcome.weights[static_cast<std::size_t>(t->rank())]);
        };
        settings.run = run;
        settings.transport = t;
        settings.training = training.get();
        settings.validation = validation.get();
        settings.checkpoints = directory_ / order.name;
        settings.traced = order.traced;
        try {
          run_rank(std::move(settings), graph, order, outcome);
        } catch (const std::exception& e) {
          outcome.errors[static_cast<std::size_t>(t->rank())] = e.what();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    for (const auto& w : outcome.weights) EXPECT_EQ(w, outcome.weights[0]) << "ranks disagree";
    return outcome;
  }

  Checkpoint newest(const std::string& name) const { return CheckpointStore(directory_ / name, 9).newest().checkpoint; }
  std::vector<float> block(const std::string& name, const std::string& which) const {
    return newest(name).blocks.at(which);
  }
  /// Changes the loss scale in the newest checkpoint.
  void set_scale(const std::string& name, double scale) const {
    const CheckpointStore store(directory_ / name, 9);
    auto newest = store.newest();
    newest.checkpoint.set("loss_scale", scale);
    write_checkpoint(store.path_of(newest.id), newest.checkpoint);
  }
  std::vector<float> weights(const std::string& name) const { return block(name, "weights"); }

 private:
  void run_rank(RealWorldSettings settings, const std::shared_ptr<const ModelGraph>& graph, const Order& order,
                Outcome& outcome) {
    const int rank = settings.transport->rank(), ranks = order.ranks;
    const RunSpec run = settings.run;
    RealWorld world(std::move(settings));
    LoopHooks hooks;
    if (order.resume) hooks.resume_from = order.id;
    int observed = 0;
    hooks.observer = [&](std::int64_t, Time) {
      return order.stop_after == 0 || rank != 0 || ++observed < order.stop_after;
    };
    if (rank == 0) {
      hooks.log = [&](const LogRecord& r) {
        if (r.kind == LogRecord::Kind::Start) outcome.info = r.text;
        if (r.kind != LogRecord::Kind::Steps) return;
        outcome.steps.push_back(r.result);
        outcome.losses.push_back(r.result.loss ? r.result.loss->value : std::nan(""));
      };
    }
    const auto programs = [&](std::int64_t batch) {
      NodeSpec node;
      node.gpus = ranks;
      return plan_step(run, batch, node, graph, {}, [](const CollectivePlan&) { return Time::zero(); });
    };
    const TrainingResult result = train(run, world, programs, hooks);
    std::vector<Rank> all;
    std::vector<std::int64_t> steps;
    for (int r = 0; r < ranks; ++r) all.emplace_back(r);
    for (std::int64_t s = 0; s < 100; ++s) steps.push_back(s);
    Timeline timeline = world.timeline(all, steps);
    if (rank != 0) return;
    outcome.result = result;
    outcome.timeline = std::move(timeline);
  }

  std::filesystem::path directory_;
};

}  // namespace lockstep::test
