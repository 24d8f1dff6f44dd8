#include "sim/sim_world.hpp"

#include <gtest/gtest.h>

#include <map>

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/interval.hpp"

namespace lockstep {
namespace {

const std::string kSource = LOCKSTEP_SOURCE_DIR;
const DataPaths kPaths{kSource + "/data"};

Inputs load(const std::string& experiment, const std::vector<std::string>& set) {
  return read_inputs(kSource + "/experiments/" + experiment + "/run.toml", set, kPaths);
}

std::vector<std::string> small(std::vector<std::string> more = {}) {
  std::vector<std::string> set = {"cluster.gpus=16", "training.global_batch=640", "output.trace_ranks=[0,15]",
                                  "output.curve=[]"};
  set.insert(set.end(), more.begin(), more.end());
  return set;
}

TEST(SimWorld, PartsSumToTheStep) {
  for (const char* noise : {"simulation.noise=true", "simulation.noise=false"}) {
    const StepPrediction p = predict_step(load("fujitsu_abci_2048", small({noise})));
    EXPECT_LE(std::abs((p.parts.total() - p.step).picoseconds()), 10) << noise;
    EXPECT_GT(p.parts.forward, Time::zero());
  }
}

TEST(SimWorld, SameSeedSameDigestOtherSeedAnother) {
  const auto at = [](const char* seed) { return predict_step(load("fujitsu_abci_2048", small({seed}))); };
  const StepPrediction a = at("training.seed=1"), b = at("training.seed=1"), c = at("training.seed=2");
  EXPECT_EQ(a.digest, b.digest);
  EXPECT_EQ(a.step, b.step);
  EXPECT_NE(a.digest, c.digest);
}

TEST(SimWorld, OneGpuIsTheGpuModel) {
  // Alone, without noise: the anchor's throughput at the anchor's batch; LARS instead of SGD moves it by less than 1 %.
  const StepPrediction p = predict_step(load(
      "dgx_ladders", {"cluster.gpus=1", "training.global_batch=192", "simulation.noise=false", "output.curve=[]"}));
  EXPECT_NEAR(p.images_per_second, 1376, 1);
  EXPECT_EQ(p.parts.exposed, Time::zero());
  EXPECT_EQ(p.messages, 0);
}

TEST(SimWorld, OverlapHidesCommunication) {
  const auto step = [](const char* overlap) {
    return predict_step(load("fujitsu_abci_2048", small({overlap, "simulation.noise=false"})));
  };
  const StepPrediction on = step("allreduce.overlap=true"), off = step("allreduce.overlap=false");
  EXPECT_LT(on.step, off.step);
  EXPECT_EQ(on.parts.forward, off.parts.forward);
}

TEST(SimWorld, SlowGpuSlowsEveryone) {
  // One of 16 GPUs 30 % slower: the step grows by 30 % of forward, backward and update; the others wait for it.
  const auto in = [](const char* slow) {
    return predict_step(load("fujitsu_abci_2048", small({"simulation.noise=false", slow})));
  };
  const StepPrediction even = in("simulation.slow_ranks=[]"), odd = in("simulation.slow_ranks=[{rank=3, factor=1.3}]");
  const Time work = even.parts.forward + even.parts.backward;
  EXPECT_GT(odd.step - even.step, work * 0.25);
  EXPECT_LT(odd.step - even.step, work * 0.33);
  EXPECT_GT(odd.parts.straggler, work * 0.2);
}

TEST(SimWorld, SlowerNetworkSlowerStep) {
  Inputs in = load("fujitsu_abci_2048", small({"simulation.noise=false"}));
  const Time before = predict_step(in).step;
  in.cluster.node.nic.rate.value = in.cluster.node.nic.rate.value / 8;
  EXPECT_GT(predict_step(in).step, before);
}

TEST(SimWorld, InputLimitsTheStep) {
  // 4 GPUs x 40 images at 1,000 images/s per node: 160 ms, far above the step; what is missing is input.
  const StepPrediction p =
      predict_step(load("fujitsu_abci_2048", small({"simulation.noise=false", "data.decode_rate=1000"})));
  EXPECT_EQ(p.step, Time::milliseconds(160));
  EXPECT_GT(p.parts.input, Time::milliseconds(100));
}

TEST(SimWorld, RunsTheSameOperationsInTheSameOrderPerLane) {
  const RunPrediction p =
      predict_run(load("fujitsu_abci_2048", small({"training.epochs=1", "data.training_images=6400"})), {});
  std::map<std::pair<int, Lane>, std::vector<std::string>> seen;
  std::map<std::pair<int, Lane>, Time> last;
  for (const TimelineEvent& e : p.timeline.events) {
    if (e.step != 1 || e.name.rfind("bucket ", 0) == 0) continue;
    const auto key = std::make_pair(e.rank.value, e.lane);
    EXPECT_GE(e.begin, last[key]) << e.name;
    last[key] = e.begin;
    seen[key].push_back(e.name);
  }
  for (const int rank : {0, 15}) {
    std::map<Lane, std::vector<std::string>> expected;
    for (const Op& op : p.program.ops) expected[op.lane].push_back(p.program.name(op));
    for (const auto& [lane, names] : expected) EXPECT_EQ((seen[{rank, lane}]), names) << "rank " << rank;
  }
}

TEST(SimWorld, LongRunsRepeatTheStep) {
  Inputs in = load("fujitsu_abci_2048", small({"simulation.noise=false", "training.epochs=2",
                                               "data.training_images=6400", "data.validation_images=640"}));
  const RunPrediction p = predict_run(in, {});
  EXPECT_EQ(p.run.steps, 20);  // 2 epochs of 10
  EXPECT_EQ(p.run.stepping, p.step.step * 20);
  // Set-up, steps, first epoch, and one evaluation at the end (every 4 epochs, run of 2).
  EXPECT_EQ(p.run.elapsed,
            in.run.setup.startup + in.run.setup.first_epoch_extra + p.run.stepping + in.run.setup.evaluation);
}

TEST(SimWorld, ShortLastStepCostsLess) {
  // 6,500 images: ten steps of 640 and one of 100 images (6 or 7 per GPU).
  const RunPrediction p = predict_run(
      load("fujitsu_abci_2048", small({"simulation.noise=false", "training.epochs=1", "data.training_images=6500"})),
      {});
  EXPECT_EQ(p.run.steps, 11);
  EXPECT_LT(p.run.stepping, p.step.step * 11);
  EXPECT_GT(p.run.stepping, p.step.step * 10);
  EXPECT_EQ(p.run.images, 6500);
}

TEST(SimWorld, NoiseIsDrawnFromSampledSteps) {
  const RunPrediction p =
      predict_run(load("fujitsu_abci_2048", small({"training.epochs=1", "data.training_images=64000"})), {});
  const Time mean = p.run.stepping / static_cast<double>(p.run.steps);
  EXPECT_NEAR(mean / p.step.step, 1, 0.02);
}

TEST(SimWorld, Placement) {
  const ClusterSpec abci = read_cluster("abci", kPaths);
  EXPECT_EQ(sim::place(Placement::Packed, 8, abci, 1)[4], 4);
  // Two nodes spread over 1,088: the second is node 544.
  EXPECT_EQ(sim::place(Placement::Spread, 8, abci, 1)[4], 544 * 4);
  const auto a = sim::place(Placement::Random, 64, abci, 1), b = sim::place(Placement::Random, 64, abci, 2);
  EXPECT_NE(a, b);
  for (std::size_t r = 0; r < a.size(); ++r) EXPECT_EQ(a[r] / 4, a[r / 4 * 4] / 4);  // ranks of a node stay together
  EXPECT_THROW(sim::place(Placement::Packed, 5000, abci, 1), ConfigError);
}

TEST(SimWorld, TwoWorldsInOneProcess) {
  const Inputs in = load("fujitsu_abci_2048", small());
  const sim::SimWorld a({in.run, in.cluster, in.gpu, in.library, {}}), b({in.run, in.cluster, in.gpu, in.library, {}});
  EXPECT_EQ(a.info().world_size, b.info().world_size);
  EXPECT_EQ(predict_step(in).digest, predict_step(in).digest);
}

TEST(SimWorld, NegotiationCostsARound) {
  const auto step = [](const std::string& negotiate) {
    Inputs in = load("dgx_ladders", {"simulation.noise=false", "output.curve=[]"});
    in.library.negotiate.value = negotiate == "slow" ? Time::milliseconds(5) : Time::zero();
    return predict_step(in).step;
  };
  EXPECT_GT(step("slow"), step("none"));
}

TEST(Compose, IntervalContainsTheCentre) {
  const Inputs in = load("fujitsu_abci_2048", small());
  const StepPrediction centre = predict_step(in);
  const Interval i = predict_interval(in, centre, {}, {});
  EXPECT_LE(i.low, centre.step);
  EXPECT_GE(i.high, centre.step);
  EXPECT_FALSE(i.parameters.empty());
}

TEST(Compose, FaultsThatNeedSeveralFiles) {
  Inputs in = load("fujitsu_abci_2048", small());
  in.run.cluster.gpus = 100000;
  in.run.allreduce.protocol = "ll256";
  in.run.cluster.framework = "none";
  in.run.output.curve = {200000};
  EXPECT_EQ(validate(in).size(), 4u);
}

}  // namespace
}  // namespace lockstep
