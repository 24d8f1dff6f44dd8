#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/base/error.hpp"
#include "experiments/config_io/choices.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/queries/collective.hpp"
#include "experiments/queries/costed_plan.hpp"
#include "experiments/queries/listing.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kRoot = LOCKSTEP_SOURCE_DIR;
const DataPaths kData{kRoot / "data"};

AllreduceRequest flat_ring(int gpus) {
  AllreduceRequest r;
  r.cluster = "flat";
  r.library = "plain";
  r.algorithm = "ring";
  r.gpus = gpus;
  return r;
}

std::string error_of(const AllreduceRequest& request) {
  try {
    bare_allreduce(request, kData).at(Bytes(8));
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Collective, RingOnIdealLinksTakesItsClosedForm) {
  // 16 ranks, 12.5 GB/s, 1 us per message: T = 2 x 15 / 16 x S / 12.5e9 + 2 x 15 x 1 us. S = 10e6 B: 1500 us + 30 us.
  const AllreduceRow row = bare_allreduce(flat_ring(16), kData).at(Bytes(10'000'000));
  EXPECT_EQ(row.elements, 2'500'000);
  EXPECT_NEAR(row.time.microseconds(), 1530, 0.01);
  EXPECT_EQ(row.messages, 16 * 2 * 15);
  EXPECT_NEAR(row.algbw.gigabytes_per_second(), 10'000'000 / 1530e-6 * 1e-9, 1e-3);
  EXPECT_NEAR(row.busbw.gigabytes_per_second(), row.algbw.gigabytes_per_second() * 2 * 15 / 16, 1e-3);
  EXPECT_TRUE(row.estimates.empty());
}

// MN-1: 16 nodes below a pair of switches, one for each of a node's two adapters, and four cables up for 16 down. A ring that changed from one adapter to
// the other at every node would cross them 16 times: 4 x 6 / 16 = 1.5 GB/s. It stays on its rail, so what limits it is the host link, 6 GB/s.
TEST(Collective, ARingOverThinRailsStaysOnItsRail) {
  AllreduceRequest r;
  r.cluster = "mn-1";
  r.library = "plain";
  r.algorithm = "ring";
  r.gpudirect = true;
  r.gpus = 128;
  const double busbw = bare_allreduce(r, kData).at(Bytes(100'000'000)).busbw.gigabytes_per_second();
  EXPECT_GT(busbw, 5.5);
  EXPECT_LT(busbw, 6);
}

// Summit, 16 GPUs: the last node's four use both of its adapters, GPUs 0 to 2 one and GPU 3 the other. Two rings of 11 GB/s each, one through each adapter.
TEST(Collective, RingsThroughAShortLastNodeUseBothItsAdapters) {
  AllreduceRequest r;
  r.cluster = "summit";
  r.library = "plain";
  r.algorithm = "ring";
  r.gpudirect = true;
  r.gpus = 16;
  const double busbw = bare_allreduce(r, kData).at(Bytes(500'000'000)).busbw.gigabytes_per_second();
  EXPECT_GT(busbw, 21);
  EXPECT_LT(busbw, 22);
}

TEST(Collective, ElementsAreWhole) {
  AllreduceRequest request = flat_ring(4);
  request.element_bytes = 8;
  const AllreduceRow row = bare_allreduce(request, kData).at(Bytes(43));
  EXPECT_EQ(row.elements, 5);
  EXPECT_EQ(row.bytes, Bytes(40));
}

TEST(Collective, OneGpuAndNothingToSendAreNoError) {
  EXPECT_EQ(bare_allreduce(flat_ring(1), kData).at(Bytes(1024)).messages, 0);
  EXPECT_EQ(bare_allreduce(flat_ring(4), kData).at(Bytes(0)).elements, 0);
}

TEST(Collective, SizesDoubleOrAreListed) {
  EXPECT_EQ(sizes_of("8:64"), (std::vector<Bytes>{Bytes(8), Bytes(16), Bytes(32), Bytes(64)}));
  EXPECT_EQ(sizes_of("3:20"), (std::vector<Bytes>{Bytes(3), Bytes(6), Bytes(12)}));
  EXPECT_EQ(sizes_of("4MiB,7"), (std::vector<Bytes>{Bytes::mib(4), Bytes(7)}));
  for (const char* wrong : {"", "8:", ":8", "0:8", "64:8", "8 parsecs", "8,,16"})
    EXPECT_THROW(sizes_of(wrong), ConfigError) << wrong;
}

TEST(Collective, WrongQuestionsNameTheFlag) {
  AllreduceRequest r = flat_ring(4);
  r.gpus = 4096;
  EXPECT_NE(error_of(r).find("--gpus"), std::string::npos) << error_of(r);
  r = flat_ring(4);
  r.element_bytes = 3;
  EXPECT_NE(error_of(r).find("--element-bytes: 3: expected 1, 2, 4 or 8"), std::string::npos) << error_of(r);
  r = flat_ring(4);
  r.algorithm = "rign";
  EXPECT_NE(error_of(r).find("--algorithm"), std::string::npos) << error_of(r);
  r = flat_ring(4);
  r.stagger = "5";
  EXPECT_NE(error_of(r).find("--stagger"), std::string::npos) << error_of(r);
}

// What NCCL_ALGO leaves is chosen and simulated just as where the rule takes it freely.
TEST(Collective, AmongTheLibrarysAlgorithms) {
  AllreduceRequest r;
  r.algorithm = "library";
  const auto row = [&](const std::string& cluster, const std::string& library, std::vector<std::string> among) {
    r.cluster = cluster;
    r.library = library;
    r.among = std::move(among);
    r.gpus = 16;
    return bare_allreduce(r, kData).at(Bytes::mib(1));
  };
  for (const auto& [cluster, library] : {std::pair{"dgx-a100", "nccl-2.8"}, std::pair{"dgx-h100", "nccl-2.27"}}) {
    const AllreduceRow free = row(cluster, library, {}), same = row(cluster, library, {free.algorithm}),
                       ring = row(cluster, library, {"ring"});
    EXPECT_NE(free.algorithm, "ring");
    EXPECT_EQ(same.protocol, free.protocol);
    EXPECT_EQ(same.channels, free.channels);
    EXPECT_EQ(same.time, free.time) << cluster;
    EXPECT_EQ(ring.algorithm, "ring");
  }
  r.gpus = 1;
  r.among = {"nvls"};
  EXPECT_EQ(bare_allreduce(r, kData).at(Bytes::mib(1)).messages, 0);
}

TEST(Collective, WrongAmong) {
  AllreduceRequest r;
  r.cluster = "dgx-a100";
  r.gpus = 16;
  r.among = {"rign"};
  r.algorithm = "library";
  EXPECT_EQ(error_of(r), "--among: \"rign\" is not known (did you mean \"ring\"?); expected one of ring, tree, nvls");
  r.among = {"nvls"};
  EXPECT_NE(error_of(r).find("--among: nothing is left to choose: nvls: "), std::string::npos) << error_of(r);
  r.among = {"ring"};
  r.algorithm = "ring";
  EXPECT_NE(error_of(r).find("--among: restricts the choice of the library"), std::string::npos) << error_of(r);
}

TEST(Collective, TellsItsOwnRingFromTheLibrarys) {
  AllreduceRequest r;
  r.cluster = "dgx-a100";
  r.algorithm = "tree";
  EXPECT_NE(own_channels_note(read_collective(r, kData)).find("--algorithm library --among tree"), std::string::npos);
  for (const char* other : {"auto", "halving_doubling", "library"}) {
    r.algorithm = other;
    EXPECT_EQ(own_channels_note(read_collective(r, kData)), "") << other;
  }
  EXPECT_EQ(own_channels_note(read_collective(flat_ring(4), kData)), "");
}

TEST(CostedPlan, HasTheBucketsOfTheProgramAndACostForEachCandidate) {
  const Inputs inputs =
      read_inputs(kRoot / "experiments/dgx_ladders/run.toml", {"cluster.gpus=4", "training.global_batch=256"}, kData);
  const CostedPlan plan = plan_and_cost(inputs, false, {});
  const auto& buckets = plan.program.buckets.buckets;
  ASSERT_FALSE(buckets.empty());
  EXPECT_EQ(plan.counts.size(), buckets.size());
  EXPECT_EQ(plan.costs.size(), buckets.size());
  ASSERT_FALSE(plan.candidates.empty());
  for (const PlanCandidate& c : plan.candidates) EXPECT_EQ(c.costs.size(), buckets.size()) << c.algorithm;
}

TEST(Collective, AcrossTakesWhatARunTakes) {
  AllreduceRequest r = flat_ring(4);
  r.across = "nvls";
  EXPECT_EQ(error_of(r), "--across: \"nvls\" is not known; expected one of auto, ring, halving_doubling, tree");
  r = flat_ring(4);
  r.channels = -1;
  EXPECT_EQ(error_of(r), "--channels: -1: expected 0 (all) or more");
}

double milliseconds(const char* cluster, int gpus, const char* algorithm, const char* size, int channels = 0) {
  AllreduceRequest r;
  r.cluster = cluster;
  r.library = "plain";
  r.gpus = gpus;
  r.algorithm = algorithm;
  r.channels = channels;
  return bare_allreduce(r, kData).at(sizes_of(size).front()).time.milliseconds();
}

// Five GPUs of a DGX-1 have no ring over NVLink, and two GPUs of a PCIe switch share its uplink: the closed form sees neither.
TEST(Collective, AutoIsNoSlowerThanWhatItRejects) {
  for (const auto& [cluster, gpus] :
       {std::pair("dgx1-v100", 5), std::pair("generic-ethernet-25", 4), std::pair("summit", 12)}) {
    const double chosen = milliseconds(cluster, gpus, "auto", "64MiB");
    for (const char* other : {"ring", "tree", "halving_doubling"})
      EXPECT_LE(chosen, milliseconds(cluster, gpus, other, "64MiB") * 1.000001) << cluster << " " << other;
  }
}

// 64 nodes of MN-1 share one cable up per four down, which no closed form sees: beyond 32 ranks candidates are folded. (By the closed form halving and
// doubling across nodes would win: 25.9 ms, the ring across 14.8.)
TEST(Collective, AutoSeesThinCablesInLargeWorldsToo) {
  AllreduceRequest r;
  r.cluster = "mn-1";
  r.library = "nccl-2.4";
  r.gpus = 512;
  const auto time = [&](const char* algorithm, const char* across) {
    r.algorithm = algorithm;
    r.across = across;
    return bare_allreduce(r, kData).at(Bytes::mib(32)).time.milliseconds();
  };
  const double chosen = time("auto", "auto");
  for (const char* across : {"ring", "halving_doubling", "tree"})
    EXPECT_LE(chosen, time("hierarchical", across) * 1.03) << across;
}

TEST(CostedPlan, SaysHowItCameByItsCosts) {
  const auto by = [](std::vector<std::string> sets, bool simulate) {
    sets.push_back("simulation.noise=false");
    const Inputs in = read_inputs(kRoot / "experiments/fujitsu_abci_2048/run.toml", sets, kData);
    const CostedPlan plan = plan_and_cost(in, simulate, {});
    return std::pair(plan.costs_by, plan.candidates_by);
  };
  using S = sim::CostSource;
  const std::vector<std::string> few{"cluster.gpus=16", "training.global_batch=640"},
      many{"cluster.gpus=64", "training.global_batch=2560"};
  EXPECT_EQ(by(few, false), std::pair(S::Events, S::Events));
  EXPECT_EQ(by(many, false), std::pair(S::Folded, S::Folded));
  EXPECT_EQ(by(many, true), std::pair(S::Events, S::Events));
  std::vector<std::string> library = many;
  library.push_back("allreduce.algorithm=library");
  EXPECT_EQ(by(library, false), std::pair(S::Library, S::Folded));
}

// One node stands for many, so a link that has failed somewhere must not be taken for one of every node: the planner's costs leave it out.
TEST(CostedPlan, AFailedLinkDoesNotStandForMany) {
  const auto costs = [](std::vector<std::string> sets) {
    sets.insert(sets.end(), {"cluster.gpus=64", "training.global_batch=2560"});
    return plan_and_cost(read_inputs(kRoot / "experiments/fujitsu_abci_2048/run.toml", sets, kData), false, {}).costs;
  };
  EXPECT_EQ(costs({}), costs({"simulation.failed_links=[\"node0.nic0\"]"}));
  EXPECT_NE(costs({}), costs({"cluster_file.node.nic.rate=6GBps"}));
}

TEST(CostedPlan, NvlsOfABucketNeedsItsSwitches) {
  EXPECT_THROW(read_inputs(kRoot / "experiments/fujitsu_abci_2048/run.toml",
                           {"allreduce.per_bucket=[\"tree\", \"nvls\"]"}, kData),
               ConfigError);
}

TEST(CostedPlan, FoldedCostsAreNearThoseOfEvents) {
  const Inputs in = read_inputs(kRoot / "experiments/fujitsu_abci_2048/run.toml",
                                {"cluster.gpus=128", "training.global_batch=5120"}, kData);
  const CostedPlan folded = plan_and_cost(in, false, {}), events = plan_and_cost(in, true, {});
  ASSERT_EQ(folded.candidates.size(), events.candidates.size());
  for (std::size_t c = 0; c < folded.candidates.size(); ++c) {
    Time sum, exact;
    for (const Time t : folded.candidates[c].costs) sum += t;
    for (const Time t : events.candidates[c].costs) exact += t;
    EXPECT_NEAR(sum / exact, 1, 0.05) << folded.candidates[c].algorithm;
  }
}

TEST(CostedPlan, EveryBucketByItsOwnAlgorithm) {
  const Inputs in = read_inputs(kRoot / "experiments/fujitsu_abci_2048/run.toml",
                                {"cluster.gpus=16", "training.global_batch=640",
                                 "allreduce.per_bucket=[\"tree\", \"hierarchical/ring\", \"hierarchical\"]"},
                                kData);
  const CostedPlan plan = plan_and_cost(in, false, {});
  using A = AllreduceAlgorithm;
  std::vector<std::pair<A, A>> taken;
  for (const CollectivePlan& c : plan.program.collectives) taken.emplace_back(c.algorithm, c.across);
  // The run says across = "tree"; the last entry goes for the rest.
  const std::pair rest(A::Hierarchical, A::Tree);
  EXPECT_EQ(taken, (std::vector{std::pair(A::Tree, A::Ring), std::pair(A::Hierarchical, A::Ring), rest, rest, rest}));
  EXPECT_THAT(to_text(plan), testing::HasSubstr("schedule of bucket 0: allreduce (double tree)\n"));
  EXPECT_THAT(to_text(plan), testing::HasSubstr("schedule of buckets 2 to 4: "));
}

// By hand: 2 (n - 1) / n x size over the NICs of a node, n = 16 and 4 x 12 GB/s, n = 12 and 2 x 11 GB/s.
TEST(Collective, ARingTakesAllNicsOfANode) {
  constexpr double kGib = 1073741824;
  EXPECT_NEAR(milliseconds("dgx1-v100", 16, "ring", "1GiB"), 2 * 15 / 16.0 * kGib / 48e9 * 1e3, 0.1);
  EXPECT_NEAR(milliseconds("summit", 12, "ring", "1GiB"), 2 * 11 / 12.0 * kGib / 22e9 * 1e3, 0.1);
  // Asked for, six rings on four NICs put two on some.
  EXPECT_GT(milliseconds("dgx1-v100", 16, "ring", "1GiB", 6), milliseconds("dgx1-v100", 16, "ring", "1GiB") * 1.2);
}

TEST(CostedPlan, StopsWhereProgressSaysSo) {
  const Inputs inputs = read_inputs(kRoot / "experiments/dgx_ladders/run.toml", {}, kData);
  const CostedPlan plan = plan_and_cost(inputs, false, [](double, const std::string&) { return false; });
  EXPECT_TRUE(plan.candidates.empty());
  EXPECT_NE(to_json(plan).find("\"digest\""), std::string::npos);
}

TEST(Listing, OneKindOrAll) {
  const auto all = list_choices("all", kData);
  ASSERT_EQ(all.size(), 6u);
  const auto models = list_choices("models", kData);
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].entries.size(), all[0].entries.size());
  EXPECT_THROW(list_choices("modles", kData), ConfigError);
}

TEST(Listing, OfKeysNamesEachWithItsDefaultItsMeaningAndItsWords) {
  const auto keys = list_choices("keys", kData).at(0).entries;
  const auto entry = [&](const std::string& name) {
    const auto at = std::find_if(keys.begin(), keys.end(), [&](const ListEntry& e) { return e.name == name; });
    return at == keys.end() ? "no " + name : at->about;
  };
  EXPECT_EQ(entry("cluster.gpus = 1"), "ranks");
  EXPECT_EQ(entry("allreduce.chunk = \"0B\""),
            "what trees and chains pass on at a time; 0 = trees by size and depth, chains 512 KiB");
  EXPECT_EQ(entry("optimizer.update = \"whole\""), "when weights are updated: whole, per_bucket");
  EXPECT_EQ(entry("[cluster_file]"), "laid over the cluster file, such as node.nic.count = 2");
  std::set<std::string> said;
  for (const ListEntry& e : keys) {
    EXPECT_FALSE(e.about.empty()) << e.name;
    EXPECT_TRUE(said.insert(e.name).second) << e.name << " twice";
  }
  // Every key that takes words is a key.
  for (const Choice& c : choices()) {
    EXPECT_TRUE(std::any_of(keys.begin(), keys.end(), [&](const ListEntry& e) {
      return e.name.rfind(c.key + " = ", 0) == 0;
    })) << c.key;
  }
}

}  // namespace
}  // namespace lockstep
