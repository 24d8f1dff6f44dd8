// The ladder of effects begins with one GPU alone and ends with the prediction itself.
#include "experiments/explain.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "experiments/inputs/read_inputs.hpp"
#include "experiments/interval.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;

Inputs abci(const std::vector<std::string>& more) {
  std::vector<std::string> sets{"cluster.gpus=32", "training.global_batch=1280", "output.trace_ranks=[]",
                                "output.curve=[]"};
  sets.insert(sets.end(), more.begin(), more.end());
  return read_inputs(kSource / "experiments/fujitsu_abci_2048/run.toml", sets, {kSource / "data"});
}

std::vector<std::string> names(const std::vector<Rung>& ladder) {
  std::vector<std::string> out;
  for (const Rung& r : ladder) out.push_back(r.name);
  return out;
}

TEST(Explain, FromOneGpuToThePrediction) {
  const Inputs inputs = abci({});
  const StepPrediction centre = predict_step(inputs);
  const auto ladder = explain_step(inputs, centre, {});
  ASSERT_GE(ladder.size(), 5u);
  Inputs alone = at_world_size(inputs, 1);
  alone.run.simulation.noise = false;
  alone.run.effects.small_batch = false;
  EXPECT_EQ(ladder.front().step, predict_step(alone).step);
  EXPECT_EQ(ladder.back().step, centre.step);
  // Costs that are added one after the other do not make this step shorter.
  for (std::size_t i = 1; i < ladder.size(); ++i) EXPECT_GE(ladder[i].step, ladder[i - 1].step) << ladder[i].name;
}

/// 64 GPUs, of which the planner makes something else where messages cost nothing, or much.
Inputs planned_by_auto(const std::string& buckets) {
  return abci({"cluster.gpus=64", "training.global_batch=2560", "buckets.policy=size", "buckets.size=" + buckets,
               "allreduce.algorithm=auto", "allreduce.across=auto", "simulation.noise=false",
               "simulation.fold=approx"});
}

TEST(Explain, NoRungChoosesAnotherPlan) {
  const Inputs inputs = planned_by_auto("64KiB");
  const StepPrediction centre = predict_step(inputs);
  EXPECT_EQ(predict_step(with_plan_fixed(inputs)).step, centre.step);
  const auto bytes_only = [](Inputs in) {
    in.run.effects = {};
    for (bool EffectsSpec::*effect :
         {&EffectsSpec::link_latency, &EffectsSpec::protocol, &EffectsSpec::reduction, &EffectsSpec::staging,
          &EffectsSpec::tcp, &EffectsSpec::coordination, &EffectsSpec::contention, &EffectsSpec::input})
      in.run.effects.*effect = false;
    return predict_step(in).step;
  };
  ASSERT_NE(bytes_only(inputs), bytes_only(with_plan_fixed(inputs)));  // the planner would choose anew
  const auto ladder = explain_step(inputs, centre, {});
  const auto rung = std::find_if(ladder.begin(), ladder.end(),
                                 [](const Rung& r) { return r.name == "bytes on links that are shared"; });
  ASSERT_NE(rung, ladder.end());
  EXPECT_EQ(rung->step, bytes_only(with_plan_fixed(inputs)));
}

// Messages that cost much at one end of the band: the planner would choose anew there.
TEST(Explain, TheIntervalKeepsThePlanToo) {
  Inputs inputs = planned_by_auto("16MiB");
  auto& latency = inputs.cluster.node.nic.latency;
  latency.high = Time::microseconds(500);
  const auto at_high = [](Inputs in) {
    in.cluster.node.nic.latency.value = in.cluster.node.nic.latency.high;
    return predict_step(in).step;
  };
  ASSERT_NE(at_high(inputs), at_high(with_plan_fixed(inputs)));
  const Interval interval = predict_interval(inputs, predict_step(inputs), {}, {});
  const auto of = std::find_if(interval.parameters.begin(), interval.parameters.end(),
                               [](const auto& p) { return p.parameter == "cluster_file.node.nic.latency"; });
  ASSERT_NE(of, interval.parameters.end());
  EXPECT_NEAR(of->at_high / at_high(with_plan_fixed(inputs)), 1, 1e-9);
}

TEST(Explain, ShowsOnlyEffectsOfTheRun) {
  const auto has = [](const Inputs& inputs, const std::string& name) {
    const auto all = names(explain_step(inputs, predict_step(inputs), {}));
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  EXPECT_FALSE(has(abci({"simulation.noise=false"}), "jitter and unequal GPUs"));
  EXPECT_TRUE(has(abci({"simulation.slow_ranks=[{rank=3, factor=1.2}]"}), "slow GPUs"));
  EXPECT_TRUE(has(abci({"allreduce.overlap=false"}), "communication after the backward pass"));
  EXPECT_TRUE(has(abci({"allreduce.gpudirect=false"}), "copies through host memory"));
  EXPECT_FALSE(has(abci({"allreduce.gpudirect=true"}), "copies through host memory"));
  EXPECT_TRUE(
      has(abci({"cluster.file=a100x4-pcie", "cluster.gpus=4", "training.global_batch=160", "cluster.framework=\"\""}),
          "copies through host memory"));
  EXPECT_TRUE(has(abci({}), "communication kernels beside the backward pass"));
  EXPECT_FALSE(has(abci({"effects.contention=false"}), "communication kernels beside the backward pass"));
}

// One GPU 20 % slower: everyone waits for it, so the rung is about a fifth of the computation.
TEST(Explain, ASlowGpuCostsWhatItIsSlower) {
  const Inputs inputs = abci({"simulation.slow_ranks=[{rank=3, factor=1.2}]", "simulation.noise=false"});
  const auto ladder = explain_step(inputs, predict_step(inputs), {});
  ASSERT_EQ(ladder.back().name, "slow GPUs");
  const double more =
      (ladder.back().step - ladder[ladder.size() - 2].step) / ladder[1].step;  // one GPU, small batch included
  EXPECT_GT(more, 0.15);
  EXPECT_LT(more, 0.21);
}

TEST(ExplainSlow, EveryExperiment) {
  for (const std::string name : {"dgx_ladders", "goyal_one_hour", "lars_alexnet_dgx1", "fashion_mnist"}) {
    Inputs inputs = read_inputs(kSource / "experiments" / name / "run.toml",
                                {"output.trace_ranks=[]", "output.curve=[]"}, {kSource / "data"});
    inputs = at_world_size(inputs, std::min(inputs.run.cluster.gpus, 16));
    const StepPrediction centre = predict_step(inputs);
    const auto ladder = explain_step(inputs, centre, {});
    EXPECT_EQ(ladder.back().step, centre.step) << name;
    // Noise may shorten the step of a GPU that waits for no other. What small batches lose lengthens steps below the anchor's batch and shortens
    // those above it, so one GPU with it is what the rest adds to.
    if (inputs.run.cluster.gpus > 1) {
      EXPECT_LE(ladder[1].step, centre.step) << name;
    }
  }
}

TEST(Explain, StopsWhenAsked) {
  const Inputs inputs = abci({});
  EXPECT_TRUE(explain_step(inputs, predict_step(inputs), [](double, const std::string&) { return false; }).empty());
}

}  // namespace
}  // namespace lockstep
