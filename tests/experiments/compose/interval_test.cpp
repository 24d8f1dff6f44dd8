// The 90 % interval: what each part of it does, and that one-at-a-time shifts agree with drawing all parameters at random.
#include "experiments/interval.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/rng.hpp"
#include "experiments/inputs/read_inputs.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;

Inputs abci(const std::vector<std::string>& more) {
  std::vector<std::string> sets{"cluster.gpus=16", "training.global_batch=640", "output.trace_ranks=[]",
                                "output.curve=[]", "simulation.noise=false",    "cluster.same_software=true"};
  sets.insert(sets.end(), more.begin(), more.end());
  return read_inputs(kSource / "experiments/fujitsu_abci_2048/run.toml", sets, {kSource / "data"});
}

std::vector<std::string> names(const std::vector<Uncertain>& list) {
  std::vector<std::string> out;
  for (const Uncertain& u : list) out.push_back(u.name);
  return out;
}

bool has(const std::vector<std::string>& all, const std::string& name) {
  return std::find(all.begin(), all.end(), name) != all.end();
}

// A quantity of two parameters, x = 10 (8 .. 11) GB/s and y = 10 (9 .. 10) us: q = x + 2 y / us.
TEST(Spread, ByHand) {
  Inputs in;
  in.cluster.node.nic.rate = Sourced<Bandwidth>(Bandwidth::gigabytes_per_second(10));
  in.cluster.node.nic.rate.low = Bandwidth::gigabytes_per_second(8);
  in.cluster.node.nic.rate.high = Bandwidth::gigabytes_per_second(11);
  in.cluster.node.nic.latency = Sourced<Time>(Time::microseconds(10));
  in.cluster.node.nic.latency.low = Time::microseconds(9);
  const auto list = banded_parameters(in);
  ASSERT_EQ(names(list), (std::vector<std::string>{"cluster_file.node.nic.rate", "cluster_file.node.nic.latency"}));
  const Quantity q = [&](const std::function<void(Inputs&)>& change, bool) {
    Inputs i = in;
    change(i);
    return i.cluster.node.nic.rate.value.bytes_per_second() / 1e9 + 2 * i.cluster.node.nic.latency.value.microseconds();
  };
  // q = 30; x: -2/30, +1/30; y: -2/30, 0. Down: sqrt(2^2 + 2^2) / 30, up: 1/30.
  const Spread s = spread_of(list, {}, false, q, {});
  EXPECT_NEAR(s.low, -std::sqrt(8.0) / 30, 1e-12);
  EXPECT_NEAR(s.high, 1.0 / 30, 1e-12);
  // An error of e^0.1 and e^-0.2 of the whole beside them.
  const Spread t = spread_of(list, {-0.2, 0.1, "x"}, false, q, {});
  EXPECT_NEAR(t.high, std::hypot(1.0 / 30, std::exp(0.1) - 1), 1e-12);
  EXPECT_NEAR(t.low, -std::hypot(std::sqrt(8.0) / 30, 1 - std::exp(-0.2)), 1e-12);
  EXPECT_EQ(t.effects.front().name, "model: from run to run");
}

TEST(Uncertain, MovesInProportionAndStaysPositive) {
  Inputs in;
  in.library.launch = Sourced<Time>(Time::microseconds(10));
  in.library.launch.low = Time::microseconds(4);
  in.library.launch.high = Time::microseconds(30);
  const auto list = banded_parameters(in);
  ASSERT_EQ(list.size(), 1u);
  const auto at = [&](double to) {
    Inputs i = in;
    list[0].set(i, to);
    return i.library.launch.value.microseconds();
  };
  EXPECT_NEAR(at(1), 30, 1e-6);
  EXPECT_NEAR(at(0.5), 20, 1e-6);
  EXPECT_NEAR(at(-1), 4, 1e-6);
  EXPECT_NEAR(at(-0.5), 7, 1e-6);
  EXPECT_NEAR(at(-3), 0.1, 1e-6);
}

TEST(ModelErrors, ThoseThatApplyToTheRun) {
  ModelError e;
  e.batch = e.network = e.software = e.drift = e.unanchored = e.collective = {-0.1, 0.2, "s"};
  const auto of = [&](const std::vector<std::string>& sets) { return names(model_errors(abci(sets), e)); };
  const std::string software = "model: other software than the anchor's";
  const std::string batch = "model: images per GPU other than the anchor's",
                    network = "model: another network than the anchor's", collective = "model: time of collectives";
  EXPECT_EQ(of({}), (std::vector<std::string>{batch, collective}));  // 40 images, the anchor has 192
  EXPECT_EQ(of({"training.global_batch=3072"}), (std::vector<std::string>{collective}));
  EXPECT_TRUE(has(of({"cluster.same_software=false"}), software));
  EXPECT_TRUE(has(of({"cluster.framework="}), software + " (no cluster.framework)"));  // several would do
  const std::string drift = "model: another release than the anchor's";
  EXPECT_TRUE(has(of({"cluster.framework=mxnet-19.05", "cluster.same_software=true"}), drift));
  EXPECT_FALSE(has(of({"cluster.framework=mxnet-19.07", "cluster.same_software=true"}), drift));
  EXPECT_TRUE(has(of({"cluster.framework=mxnet-19.05", "cluster.same_software=false"}), drift));
  e.beyond = {0, 0.3, "s"};
  EXPECT_TRUE(has(of({"cluster.framework=mxnet-19.05"}), "model: the release lies between two anchors'"));
  e.beyond = {};
  EXPECT_TRUE(has(of({"model.name=alexnet", "buckets.policy=size"}), network));
  EXPECT_FALSE(has(of({"model.name=resnet18", "buckets.policy=size"}), network));
  EXPECT_EQ(of({"cluster.gpus=1", "training.global_batch=192"}), std::vector<std::string>{});
  const std::string none = "model: no anchor at this precision";
  EXPECT_FALSE(has(of({"cluster.framework=", "training.precision=tf32"}), none));  // computed as fp32, which has some
  EXPECT_TRUE(has(of({"cluster.framework=", "cluster.gpu=h100-sxm5-80gb"}), none));
}

TEST(ModelErrors, SlowDownWhatOnlyAnAnchorInNchwCouldScale) {
  ModelError e;
  e.unanchored = {-0.2, 0.2, "s"};
  Inputs in = abci({"cluster.framework="});
  in.gpu.anchors.resize(1);
  in.gpu.anchors[0].channels_first = true;
  const auto list = model_errors(in, e);
  ASSERT_EQ(list.size(), 1u);
  list[0].set(in, 1);
  ASSERT_EQ(in.run.simulation.slow_ranks.size(), static_cast<std::size_t>(in.run.cluster.gpus));
  EXPECT_NEAR(in.run.simulation.slow_ranks[0].factor, std::exp(0.2), 1e-9);
}

TEST(ModelErrors, ScaleComputationByTheHalvingsAndCollectivesAsAWhole) {
  ModelError e;
  e.batch = {0, 0.1, "s"};
  Inputs in = abci({"training.global_batch=1536"});  // 96 images: one halving of 192
  auto list = model_errors(in, e);
  ASSERT_EQ(list.size(), 1u);
  Inputs slow = in;
  list[0].set(slow, 1);
  EXPECT_NEAR(in.gpu.anchors[0].images_per_second.value / slow.gpu.anchors[0].images_per_second.value, std::exp(0.1),
              1e-9);
  in = abci({"training.global_batch=6144"});  // 384 images: beyond the anchor the same error has the other sign
  list = model_errors(in, e);
  Inputs fast = in;
  list[0].set(fast, -1);
  EXPECT_NEAR(in.gpu.anchors[0].images_per_second.value / fast.gpu.anchors[0].images_per_second.value, std::exp(-0.1),
              1e-9);
  list[0].set(fast = in, 1);
  EXPECT_EQ(in.gpu.anchors[0].images_per_second.value, fast.gpu.anchors[0].images_per_second.value);

  // All communication 1.5 times as long: a step without overlap grows by half of what it exposes.
  ModelError c;
  c.collective = {0, std::log(1.5), "s"};
  in = abci({"allreduce.overlap=false", "buckets.cycle=1ps", "simulation.sampled_steps=1", "optimizer.update=whole"});
  const StepPrediction centre = predict_step(in);
  Inputs longer = in;
  model_errors(in, c)[0].set(longer, 1);
  const StepPrediction grown = predict_step(longer);
  EXPECT_GT(centre.parts.exposed, Time::microseconds(100));
  // Copies into and out of the buckets are the GPU's and stay: 10 % of the exposed time is generous for them.
  EXPECT_NEAR((grown.step - centre.step) / centre.parts.exposed, 0.5, 0.05);
}

TEST(Interval, HoldsTheCentreAndGrowsWithTheModelsError) {
  const Inputs in = abci({});
  const StepPrediction centre = predict_step(in);
  const Interval bare = predict_interval(in, centre, {}, {});
  EXPECT_LT(bare.low, centre.step);
  EXPECT_GT(bare.high, centre.step);
  ModelError e;
  e.batch = {0, 0.1, "s"};
  const Interval wide = predict_interval(in, centre, e, {});
  EXPECT_EQ(wide.low, bare.low);
  EXPECT_GT(wide.high, bare.high + Time::milliseconds(1));
  EXPECT_EQ(wide.parameters.front().parameter, "model: images per GPU other than the anchor's");
}

// Independent split normals drawn at random, 1,000 of them: their 5th and 95th percentiles have a standard error of
// sqrt(0.05 0.95 / 1000) / density ~ 0.07 sigma, so three of them are 0.13 of a half-width of 1.645 sigma; twice that
// leaves room for what is not linear.
TEST(IntervalSlow, OneAtATimeAgreesWithRandomDraws) {
  const Inputs in = abci({"cluster.gpus=8", "training.global_batch=320"});
  const StepPrediction centre = predict_step(in);
  ModelError e;
  e.batch = {-0.02, 0.1, "s"};
  e.collective = {-0.1, 0.1, "s"};
  std::vector<Uncertain> list = banded_parameters(in);
  for (Uncertain& u : model_errors(in, e)) list.push_back(std::move(u));
  const Quantity q = step_quantity(in);
  const Spread s = spread_of(list, {}, false, q, {});
  std::vector<double> drawn;
  Rng rng(42, "interval");
  for (int i = 0; i < 1000; ++i) {
    std::vector<double> z;
    for (std::size_t k = 0; k < list.size(); ++k) z.push_back(rng.normal() / 1.6449);
    drawn.push_back(q(
        [&](Inputs& changed) {
          for (std::size_t k = 0; k < list.size(); ++k) {
            if (!list[k].noise) list[k].set(changed, z[k]);
          }
        },
        false));
  }
  std::sort(drawn.begin(), drawn.end());
  const double still = q([](Inputs&) {}, false);
  EXPECT_NEAR((drawn[50] / still - 1) / s.low, 1, 0.26);
  EXPECT_NEAR((drawn[949] / still - 1) / s.high, 1, 0.26);
}

}  // namespace
}  // namespace lockstep
