// Every what-if is keys of the run file alone, and moves the prediction the way that it must.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/config_io/config_io.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;
const DataPaths kData{kSource / "data"};

/// 16 nodes of ABCI in two racks' worth of leaves, communication that is not hidden: what slows a link slows the step.
Inputs abci(const std::vector<std::string>& more) {
  std::vector<std::string> sets{"cluster.gpus=64",         "training.global_batch=512", "output.trace_ranks=[]",
                                "output.curve=[]",         "simulation.noise=false",    "allreduce.overlap=false",
                                "cluster.placement=packed"};
  sets.insert(sets.end(), more.begin(), more.end());
  return read_inputs(kSource / "experiments/fujitsu_abci_2048/run.toml", sets, kData);
}

Time step(const std::vector<std::string>& sets) { return predict_step(abci(sets)).step; }

enum class Moves { Longer, Shorter, Stays };

struct WhatIf {
  const char* name;
  std::vector<std::string> base, set;  ///< `base` in both
  Moves moves;
};

const std::vector<std::string> kRing{"allreduce.across=ring"};
const std::vector<std::string> kSpread{"cluster.placement=spread"};

const std::vector<WhatIf>& what_ifs() {
  static const std::vector<WhatIf> all = {
      {"more GPUs at the same batch each", {}, {"cluster.gpus=128", "training.global_batch=1024"}, Moves::Longer},
      {"more nodes in the cluster", {}, {"cluster_file.nodes=2000"}, Moves::Stays},
      {"slower copies through host memory",
       {"allreduce.gpudirect=false"},
       {"cluster_file.node.pcie.host_copy=2GBps"},
       Moves::Longer},
      {"the same with GPUDirect", {}, {"cluster_file.node.pcie.host_copy=2GBps"}, Moves::Stays},
      {"larger batch", {}, {"training.global_batch=1024"}, Moves::Longer},
      {"single precision", {}, {"training.precision=fp32"}, Moves::Longer},
      {"one bucket", {"allreduce.overlap=true"}, {"buckets.policy=one"}, Moves::Longer},
      {"many small buckets", {"buckets.policy=size"}, {"buckets.size=64KiB"}, Moves::Longer},
      {"one GPU per node across nodes", {}, {"allreduce.algorithm=three_phase"}, Moves::Longer},
      {"no overlap", {"allreduce.overlap=true"}, {"allreduce.overlap=false"}, Moves::Longer},
      {"faster NICs",
       kRing,
       {"cluster_file.nic.rate=24GBps", "cluster_file.network.tiers.leaf.rate=24GBps", "cluster_file.pcie.x16=24GBps",
        "cluster_file.pcie.host_link=24GBps"},
       Moves::Shorter},
      {"NICs of half the rate", kRing, {"cluster_file.node.nic.rate=6GBps"}, Moves::Longer},
      {"latency of a switch", kRing, {"cluster_file.network.tiers.0.hop=10us"}, Moves::Longer},
      {"taper", kSpread, {"cluster_file.network.tiers.director.cables=1"}, Moves::Longer},
      {"another algorithm for the first bucket",
       {},
       {"allreduce.per_bucket=[\"tree\", \"hierarchical\"]"},
       Moves::Longer},
      {"slower NVLink", {}, {"cluster_file.nvlink.per_link=5GBps"}, Moves::Longer},
      {"random placement", {}, {"cluster.placement=random"}, Moves::Longer},
      {"spread placement", {}, {"cluster.placement=spread"}, Moves::Longer},
      {"a slow GPU", {}, {"simulation.slow_ranks=[{rank=7, factor=1.3}]"}, Moves::Longer},
      {"a slow NIC", kRing, {"simulation.slow_links=[{link=\"node3.nic0.up\", factor=0.5}]"}, Moves::Longer},
      {"a slow link that nobody uses",
       kRing,
       {"simulation.slow_links=[{link=\"node900.nic0\", factor=0.1}]"},
       Moves::Stays},
      {"a failed NIC", kRing, {"simulation.failed_links=[\"node3.nic0\"]"}, Moves::Longer},
      {"a failed NVLink pair", {}, {"simulation.failed_links=[\"node3.gpu0-gpu1\"]"}, Moves::Longer},
      {"all cables but one out of a rack gone",
       kSpread,
       {"simulation.failed_links=[\"fbb0-director*\", \"fbb1-director*\", \"fbb2-director0*\", \"fbb2-director1.0\", "
        "\"fbb2-director1.1\", \"fbb2-director1.2\"]"},
       Moves::Longer},
      {"jitter",
       {},
       {"simulation.noise=true", "simulation.gpu_spread=0", "simulation.step_jitter=0.05"},
       Moves::Longer},
      {"unequal GPUs",
       {},
       {"simulation.noise=true", "simulation.gpu_spread=0.05", "simulation.step_jitter=0"},
       Moves::Longer},
      {"other jobs", kSpread, {"simulation.background=0.5"}, Moves::Longer},
      {"norms layer by layer", {}, {"optimizer.norms=per_layer"}, Moves::Longer},
      {"another GPU", {"cluster.framework="}, {"cluster.gpu=a100-sxm4-40gb"}, Moves::Shorter},
      {"faster memory", {}, {"gpu_file.memory_achieved=1000GBps", "gpu_file.memory_peak=1100GBps"}, Moves::Shorter},
      {"a slower anchor",
       {"cluster.framework=mxnet-20.12"},
       {"gpu_file.anchor.0.images_per_second=1000"},
       Moves::Longer},
      {"longer launch", {}, {"library_file.launch=500us"}, Moves::Longer},
      {"dearer messages",
       {},
       {"library_file.protocols.simple.tree_network=50us", "allreduce.protocol=simple"},
       Moves::Longer},
      {"another model", {"buckets.policy=size"}, {"model.name=resnet18"}, Moves::Shorter},
  };
  return all;
}

TEST(WhatIf, EachMovesTheStepTheWayItMust) {
  std::map<std::vector<std::string>, Time> bases;
  for (const WhatIf& w : what_ifs()) {
    if (!bases.count(w.base)) bases[w.base] = step(w.base);
    std::vector<std::string> sets = w.base;
    sets.insert(sets.end(), w.set.begin(), w.set.end());
    const Time before = bases[w.base], after = step(sets);
    switch (w.moves) {
      case Moves::Longer: EXPECT_GT(after, before) << w.name; break;
      case Moves::Shorter: EXPECT_LT(after, before) << w.name; break;
      case Moves::Stays: EXPECT_EQ(after, before) << w.name; break;
    }
  }
}

TEST(WhatIf, BroadcastInsteadOfEqualSeedsTakesTimeBeforeTheFirstStep) {
  const auto whole = [](const char* how) {
    return predict_run(abci({std::string("training.initialization=") + how, "training.epochs=0.01"}), {}).run.elapsed;
  };
  EXPECT_GT(whole("broadcast"), whole("same_seed"));
}

// With jitter ranks enter a step long before the last one; a bucket's times count from where each begins.
TEST(WhatIf, BucketTimesAreWithinTheStep) {
  const StepPrediction p =
      predict_step(abci({"simulation.noise=true", "simulation.step_jitter=0.2", "simulation.sampled_steps=4"}));
  ASSERT_FALSE(p.buckets.empty());
  for (const sim::BucketReport& b : p.buckets) {
    EXPECT_GT(b.ready, Time::zero());
    EXPECT_LE(b.ready, b.begin);
    EXPECT_LT(b.begin, b.end);
  }
}

TEST(WhatIf, TheEffectiveRunFileReproducesTheResult) {
  const Scratch scratch;
  const std::vector<std::string> sets{"cluster_file.nic.rate={ value = \"6GBps\", low = \"5GBps\" }",
                                      "cluster_file.network.tiers.1.cables=2",
                                      "gpu_file.memory_achieved=700GBps",
                                      "library_file.protocols.ll.efficiency=0.4",
                                      "simulation.slow_links=[{link=\"node1.nic*\", factor=0.5}]",
                                      "simulation.failed_links=[\"node2.nic1\"]",
                                      "simulation.background=0.2"};
  const Inputs first = abci(sets);
  const auto path = scratch.write("effective.toml", write_run(first.run));
  const Inputs again = read_inputs(path, {}, kData);
  const StepPrediction a = predict_step(first), b = predict_step(again);
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.digest, b.digest);
  EXPECT_NE(a.step, step({}));
  EXPECT_EQ(again.cluster.node.nic.rate.low, Bandwidth::gigabytes_per_second(5));
}

TEST(WhatIf, WrongNamesAreToldWithTheNearest) {
  const Scratch scratch;
  const auto faults = [&](const std::string& set) { return scratch.faults([&] { abci({set}); }); };
  EXPECT_THAT(
      faults("simulation.failed_links=[\"node3.nick0\"]"),
      testing::ElementsAre("--set simulation.failed_links=[\"node3.nick0\"]: simulation.failed_links: cluster abci "
                           "has no link \"node3.nick0\"; did you mean \"node3.nic0\"?"));
  EXPECT_THAT(faults("simulation.slow_links=[{link=\"q\", factor=0.5}]"),
              testing::ElementsAre(testing::HasSubstr("`lockstep check abci --links` lists them")));
  EXPECT_THAT(faults("simulation.slow_links=[{link=\"node0.nic0\", factor=0}]"),
              testing::ElementsAre(testing::HasSubstr("factor 0 of node0.nic0; expected more than 0")));
  EXPECT_THAT(
      faults("cluster_file.node.nic.rat=6GBps"),
      testing::ElementsAre("--set cluster_file.node.nic.rat=6GBps: cluster_file.node.nic.rat: unknown key; did you "
                           "mean \"rate\"?"));
  EXPECT_THAT(
      faults("library_file.protocols.lll.efficiency=0.4"),
      testing::ElementsAre(testing::HasSubstr("there is no such entry; expected 0 to 1, or one of simple, ll")));
  EXPECT_THAT(scratch.faults([&] {
    read_inputs(kSource / "experiments/dgx_ladders/run.toml", {"simulation.background=0.3"}, kData);
  }),
              testing::ElementsAre(testing::HasSubstr("has no cables between switches that other jobs could use")));
}

}  // namespace
}  // namespace lockstep
