// A World of N threads that really trains a small fully connected network: proof that loop, programs and schedules need no backend.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/run/world.hpp"
#include "core/spec/run_spec.hpp"
#include "thread_collective.hpp"

namespace lockstep::test {

/// Input and label of a sample: a pure function of (seed, index).
struct Sample {
  std::vector<float> x;
  int label = 0;
};
Sample make_sample(std::uint64_t seed, std::int64_t index, int features, int classes);

/// Weights from the seed: uniform in +-1/sqrt(features); biases zero.
std::vector<std::vector<float>> initial_weights(const ModelGraph& graph, std::uint64_t seed);

/// Adds the gradient of one sample's loss to `gradients` (one vector per tensor) and returns the loss. Linear, ReLU and the loss only.
double add_gradient(const ModelGraph& graph, const std::vector<std::vector<float>>& weights, const Sample& sample,
                    std::vector<std::vector<float>>& gradients);

class ThreadWorld final : public World {
 public:
  ThreadWorld(RunSpec run, int ranks);
  WorldInfo info() const override { return {"threads", ranks_, "test world"}; }
  Time now() const override { return clock_; }
  void prepare(const RunPlan& plan) override;
  StepResult run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) override;
  EvalResult evaluate(const StepProgram&, const EvalArgs&) override { return {}; }
  void save(const std::string& id, const LoopState& state) override;
  LoopState restore(const std::string& id) override;
  bool any(bool mine) override { return mine; }
  Timeline timeline(std::span<const Rank>, std::span<const std::int64_t>) const override { return {}; }

  const std::vector<std::vector<float>>& weights(int rank) const {
    return states_[static_cast<std::size_t>(rank)].weights;
  }
  const Post& post() const { return *post_; }
  /// Kinds of operations in the order in which rank 0 executed them, per lane.
  const std::map<Lane, std::vector<std::string>>& executed() const { return executed_; }

 private:
  struct State {
    std::vector<std::vector<float>> weights, velocity, gradients;
  };
  double run_rank(const StepProgram& program, const StepArgs& args, int rank);

  RunSpec run_;
  int ranks_;
  std::shared_ptr<const ModelGraph> graph_;
  std::vector<State> states_;
  std::unique_ptr<Post> post_ = std::make_unique<Post>();
  std::map<std::string, std::pair<LoopState, std::vector<State>>> saved_;
  std::map<Lane, std::vector<std::string>> executed_;
  Time clock_;
};

}  // namespace lockstep::test
