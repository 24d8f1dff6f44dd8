// Whole steps, folded and not.
#include <gtest/gtest.h>

#include <tuple>

#include "core/base/error.hpp"
#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/inputs/read_inputs.hpp"

namespace lockstep {
namespace {

const std::string kSource = LOCKSTEP_SOURCE_DIR;
const DataPaths kPaths{kSource + "/data"};

Inputs load(const std::string& experiment, const std::vector<std::string>& set) {
  return read_inputs(kSource + "/experiments/" + experiment + "/run.toml", set, kPaths);
}

StepPrediction step(Inputs inputs, FoldMode fold) {
  inputs.run.simulation.fold = fold;
  return predict_step(inputs);
}

void expect_equal(const StepPrediction& a, const StepPrediction& b) {
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.parts.forward, b.parts.forward);
  EXPECT_EQ(a.parts.exposed, b.parts.exposed);
  EXPECT_EQ(a.parts.straggler, b.parts.straggler);
  ASSERT_EQ(a.buckets.size(), b.buckets.size());
  for (std::size_t i = 0; i < a.buckets.size(); ++i) {
    EXPECT_EQ(a.buckets[i].ready, b.buckets[i].ready);
    EXPECT_EQ(a.buckets[i].begin, b.buckets[i].begin);
    EXPECT_EQ(a.buckets[i].end, b.buckets[i].end);
  }
}

/// Eight nodes of one GPU behind one switch, one bucket of 25,557,032 = 8 x 3,194,629 gradients.
Inputs eight_alike(const std::vector<std::string>& more = {}) {
  std::vector<std::string> set = {"cluster.file=abci",        "cluster.gpus=8",         "training.global_batch=320",
                                  "simulation.noise=false",   "buckets.policy=one",     "buckets.separate_fp32=false",
                                  "allreduce.algorithm=ring", "output.trace_ranks=[5]", "output.curve=[]"};
  set.insert(set.end(), more.begin(), more.end());
  Inputs in = load("fujitsu_abci_2048", set);
  in.cluster.nodes = 8;
  in.cluster.node.gpus = 1;
  in.cluster.node.nvlink = {};
  in.cluster.node.pcie = {};
  in.cluster.node.nic.count = 1;
  in.cluster.node.nic.cpu.clear();
  in.cluster.node.nic.nic_of_gpu = {0};
  in.cluster.network.kind = NetworkKind::Star;
  in.cluster.network.tiers.resize(1);
  return in;
}

TEST(Fold, ExactStepIsTheWholeStepByOneRank) {
  const Inputs in = eight_alike();
  const StepPrediction whole = step(in, FoldMode::None), exact = step(in, FoldMode::Exact);
  expect_equal(whole, exact);
  EXPECT_EQ(exact.messages * 8, whole.messages);
  EXPECT_EQ(exact.folding, "exact: 1 of 8 ranks are simulated");
  EXPECT_EQ(whole.folding, "none: every rank is simulated");
}

TEST(Fold, TraceOfARankThatWasNotSimulatedIsItsOwn) {
  Inputs in = eight_alike({"training.epochs=1", "data.training_images=3200"});
  const RunPrediction whole = predict_run(in, {});
  in.run.simulation.fold = FoldMode::Exact;
  const RunPrediction exact = predict_run(in, {});
  ASSERT_EQ(whole.timeline.events.size(), exact.timeline.events.size());
  ASSERT_FALSE(whole.timeline.events.empty());
  for (std::size_t i = 0; i < whole.timeline.events.size(); ++i) {
    const TimelineEvent &a = whole.timeline.events[i], &b = exact.timeline.events[i];
    EXPECT_EQ(std::tie(a.rank, a.lane, a.name, a.begin, a.end), std::tie(b.rank, b.lane, b.name, b.begin, b.end));
  }
}

TEST(Fold, ExactWithoutLikenessIsTheWholeSimulation) {
  // Jitter: no rank is like another in any step.
  const Inputs in = load("fujitsu_abci_2048",
                         {"cluster.gpus=16", "training.global_batch=640", "output.trace_ranks=[0]", "output.curve=[]"});
  const StepPrediction whole = step(in, FoldMode::None), exact = step(in, FoldMode::Exact);
  expect_equal(whole, exact);
  EXPECT_EQ(whole.digest, exact.digest);
  EXPECT_EQ(exact.folding,
            "exact: no two ranks are alike, or finding out would cost too much; every rank is simulated");
}

TEST(Fold, SlowRankIsNotFoldedAway) {
  const Inputs in = eight_alike({"simulation.slow_ranks=[{rank=6, factor=1.3}]"});
  expect_equal(step(in, FoldMode::None), step(in, FoldMode::Exact));
}

TEST(Fold, ApproxSaysWhenItCannot) {
  const Inputs in = eight_alike({"allreduce.in_flight=2", "buckets.policy=size"});
  const StepPrediction whole = step(in, FoldMode::None), approx = step(in, FoldMode::Approx);
  EXPECT_EQ(whole.step, approx.step);
  EXPECT_EQ(approx.folding.rfind("approx does not know collectives in flight together", 0), 0u) << approx.folding;
}

TEST(Fold, ApproxPartsSumToTheStep) {
  const Inputs in = load("fujitsu_abci_2048", {"cluster.gpus=64", "training.global_batch=2560",
                                               "output.trace_ranks=[0]", "output.curve=[]"});
  const StepPrediction p = step(in, FoldMode::Approx);
  EXPECT_LE(std::abs((p.parts.total() - p.step).picoseconds()), 10);
  EXPECT_GT(p.parts.straggler, Time::zero());
}

TEST(Fold, ApproxWaitsForTheSlowRank) {
  // One of 64 GPUs 30 % slower without any noise: nobody has to be guessed, so only the collectives are approximate.
  const Inputs in = load("fujitsu_abci_2048",
                         {"cluster.gpus=64", "training.global_batch=2560", "simulation.noise=false",
                          "simulation.slow_ranks=[{rank=9, factor=1.3}]", "output.curve=[]", "output.trace_ranks=[0]"});
  EXPECT_NEAR(step(in, FoldMode::Approx).step / step(in, FoldMode::None).step, 1, 0.01);
}

void expect_within(double bound, const std::string& algorithm, const std::string& across,
                   const std::vector<std::string>& more) {
  std::vector<std::string> sets{"allreduce.algorithm=" + algorithm, "allreduce.across=" + across,
                                "simulation.sampled_steps=2", "output.curve=[]", "output.trace_ranks=[0]"};
  sets.insert(sets.end(), more.begin(), more.end());
  const Inputs in = load("fujitsu_abci_2048", sets);
  const double ratio = step(in, FoldMode::Approx).step / step(in, FoldMode::None).step;
  EXPECT_NEAR(ratio, 1, bound) << algorithm << " " << across << " " << testing::PrintToString(more);
}

void expect_two_level_within_one_percent(const std::string& noise) {
  for (const char* algorithm : {"hierarchical", "three_phase"}) {
    for (const char* across : {"tree", "halving_doubling"})
      expect_within(0.01, algorithm, across, {"simulation.noise=" + noise});
  }
}

// 2,048 GPUs of ABCI, 15.06 racks.
TEST(FoldSlow, ApproxIsWithinOnePercentOnAbci) {
  expect_two_level_within_one_percent("false");
  expect_within(0.01, "torus", "ring", {"simulation.noise=false"});
  expect_within(0.01, "node_tree", "auto", {"simulation.noise=false"});
}

// One collective over all 2,048 GPUs, most of the step. Tree: cables of different load let ranks leave a collective at
// different times, so that they enter the next one spread, and less is left to do when the last one comes; approx lets all enter together. (Behind one
// ideal switch the same step is 0.1 % too long.)
TEST(FoldSlow, ApproxOfAFlatTreeIsTooLong) { expect_within(0.03, "tree", "auto", {"simulation.noise=false"}); }

// Exchanges of ranks of different progress are chaotic: another stride moves the step by up to 1.7 %.
TEST(FoldSlow, ApproxOfFlatExchanges) { expect_within(0.01, "halving_doubling", "auto", {"simulation.noise=false"}); }

// With noise: the slowest comes last to a collective whose other ranks have done their part. Over seeds 1 to 8 ratios are 0.9957 to 1.0024, 1.0006 to 1.0036,
// 0.9942 to 1.0028 and 0.9978 to 1.0062, in this order; over a torus of rings 1.0014 to 1.0061 (seeds 1 to 12; not here, 20 million messages).
TEST(FoldSlow, ApproxWithNoiseIsWithinOnePercentOnAbci) { expect_two_level_within_one_percent("true"); }

// 256 GPUs: over 2,048 a flat ring has 42 million messages. Single collectives are up to 4 % too long (5 MB), steps of 64 to 1,024 GPUs 0.04 to 0.3 %.
TEST(FoldSlow, ApproxOfAFlatRing) {
  for (const char* noise : {"simulation.noise=false", "simulation.noise=true"})
    expect_within(0.01, "ring", "auto", {noise, "cluster.gpus=256", "training.global_batch=10240"});
}

TEST(Fold, ApproxOnOneNodeIsTheWholeSimulation) {
  // 8 GPUs of a DGX-1 and 16 of a DGX-2: few messages, simulated whole; no noise. What is left is that collectives begin
  // together, as they do without noise.
  for (const char* cluster : {"dgx1-v100", "dgx2"}) {
    const std::string gpus = cluster == std::string("dgx2") ? "16" : "8";
    const Inputs in = load(
        "dgx_ladders", {std::string("cluster.file=") + cluster, "cluster.gpus=" + gpus, "training.global_batch=1536",
                        "simulation.noise=false", "output.curve=[]", "output.trace_ranks=[0]"});
    EXPECT_NEAR(step(in, FoldMode::Approx).step / step(in, FoldMode::None).step, 1, 0.005) << cluster;
  }
}

}  // namespace
}  // namespace lockstep
