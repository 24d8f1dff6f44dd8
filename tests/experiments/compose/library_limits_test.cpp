// What a library's GPUs allow whole ranks: in events, in estimates, switched off, and scaled by the model's error of collectives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/plan/planner.hpp"
#include "core/spec/words.hpp"
#include "experiments/config_io/config_io.hpp"
#include "experiments/effects.hpp"
#include "experiments/interval.hpp"
#include "sim/network/estimate.hpp"
#include "tests/experiments/compose/bare_job.hpp"

namespace lockstep {
namespace {

using A = AllreduceAlgorithm;
using Job = BareJob;

Job without_limits(Job job) {
  job.in.library.limits = false;
  return job;
}

// nccl-2.8 on Ampere: 235 GB/s of payload over all channels; LL sends 8 bytes for 4 of payload.
TEST(LibraryLimits, HoldOnlyWhileTheyAreOn) {
  const LibrarySpec file = read_library("nccl-2.8", kShipped);
  LibrarySpec off = file;
  off.limits = false;
  const LibrarySpec with = limited_to(file, 80, 1), without = limited_to(off, 80, 1);
  for (std::size_t p = 0; p < file.protocols.size(); ++p) {
    EXPECT_LT(with.protocols[p].total_cap, Bandwidth::unlimited()) << file.protocols[p].name;
    EXPECT_EQ(without.protocols[p].total_cap, Bandwidth::unlimited()) << file.protocols[p].name;
    EXPECT_EQ(without.protocols[p].ring_cap, file.protocols[p].ring_cap) << file.protocols[p].name;
    if (file.protocols[p].name == "simple") {
      EXPECT_NEAR(with.protocols[p].total_cap.bytes_per_second(), 235e9 / file.protocols[p].efficiency, 1);
    }
  }
}

// nccl-2.27 on Volta, payload per channel: LL128 20 GB/s, trees of simple messages 18.5 on two nodes and 10 on more. LL128 carries 120 of 128 bytes.
TEST(LibraryLimits, AChannelHasAMost) {
  const LibrarySpec file = read_library("nccl-2.27", kShipped);
  const auto at = [&](int nodes, const char* name) {
    const LibrarySpec l = limited_to(file, 70, nodes);
    return *std::find_if(l.protocols.begin(), l.protocols.end(), [&](const auto& p) { return p.name == name; });
  };
  const auto gigabytes = [](Bandwidth b) { return b.bytes_per_second() / 1e9; };
  for (const int nodes : {1, 2, 3}) EXPECT_NEAR(gigabytes(at(nodes, "ll128").ring_cap), 20 / 0.9375, 1e-9);
  EXPECT_NEAR(gigabytes(at(2, "ll128").tree_cap), 20 / 0.9375, 1e-9);
  EXPECT_NEAR(gigabytes(at(2, "simple").tree_cap), 18.5, 1e-9);
  EXPECT_NEAR(gigabytes(at(3, "simple").tree_cap), 10, 1e-9);
  EXPECT_EQ(at(1, "simple").tree_cap, Bandwidth::unlimited());  // several cables are several channels there
  EXPECT_EQ(at(2, "simple").ring_cap, Bandwidth::unlimited());
}

// Eight channels of LL128 over two nodes, 20 GB/s each, though a NIC brings 23.6 x 0.9375: 2 x 15/16 x 2^28 B / 160 GB/s and up to 10 % for hops.
TEST(LibraryLimits, ChannelsOfARingInEvents) {
  const Job job("dgx-a100", "nccl-2.27", 16, A::Library, "ll128");
  const Bytes size(1 << 28);
  ASSERT_EQ(job.plan(size).algorithm, A::Ring);
  const double least = 2.0 * 15 / 16 * double(size.count()) / 160e9, took = job.time(size).time.seconds();
  EXPECT_GT(took, least);
  EXPECT_LT(took, 1.1 * least);
  EXPECT_LT(without_limits(job).time(size).time.seconds(), least);
}

// One channel of a tree over two nodes: two trees, up and down, share 18.5 GB/s, and each moves half of the data: 2^27 B / (18.5 / 4 GB/s), up to 10 %
// for the hops. The one NIC alone would take 2^28 B / 12 GB/s.
TEST(LibraryLimits, ChannelsOfATreeInEvents) {
  Job job("v100x8-1edr", "nccl-2.27", 16, A::Library, "simple");
  job.in.run.allreduce.gpudirect = true;
  const Bytes size(1 << 28);
  ASSERT_EQ(job.plan(size).algorithm, A::Tree);
  ASSERT_EQ(job.plan(size).phases.front().orders.channels(), 1);
  const double least = double(size.count()) / 2 / (18.5e9 / 4), took = job.time(size).time.seconds();
  EXPECT_GT(took, least);
  EXPECT_LT(took, 1.1 * least);
  EXPECT_LT(without_limits(job).time(size).time.seconds(), least);
}

// One channel of a ring over eight A100 where the search finds twelve: 20 GB/s instead of 235, so 1 MiB by LL takes 3.6 + 14 x 0.47 us + 1 MiB over a
// quarter of 20 GB/s x 8 / 14 = 2.857 GB/s: 377.2 us.
TEST(LibraryLimits, TheChoiceKnowsHowManyChannelsTheRunAllows) {
  Job job("dgx-a100", "nccl-2.8", 8, A::Library);
  EXPECT_EQ(job.context().view.ring.count, 12);
  job.in.run.allreduce.channels = 1;
  EXPECT_EQ(job.context().view.ring.count, 1);
  const auto estimates = library_estimates(job.in.library, job.context().view, Bytes::mib(1));
  const auto ll = estimates[static_cast<std::size_t>(job.number_of("ll"))];
  EXPECT_EQ(ll.algorithm, A::Ring);
  EXPECT_NEAR(ll.time.microseconds(), 377.2, 0.1);
}

// Twelve GPUs on nodes of eight: chains of eight and of four behind the heads, as many as over sixteen, and no link carries more. Over rings the four GPUs of
// the second node have half of its adapters, so large sizes take up to twice as long; not more.
TEST(LibraryTrees, TheLastNodeMayBeShortOfGpus) {
  const auto both = [](const char* protocol, Bytes size) {
    const Job twelve("dgx-a100", "nccl-2.27", 12, A::Library, protocol),
        sixteen("dgx-a100", "nccl-2.27", 16, A::Library, protocol);
    EXPECT_EQ(twelve.plan(size).algorithm, sixteen.plan(size).algorithm);
    EXPECT_EQ(twelve.plan(size).phases.front().orders.channels(), 8);
    return twelve.time(size).time / sixteen.time(size).time;
  };
  const double tree = both("ll", Bytes::kib(64)), ring = both("simple", Bytes::mib(256));
  EXPECT_GT(tree, 0.7);
  EXPECT_LT(tree, 1.05);
  EXPECT_GT(ring, 1);
  EXPECT_LT(ring, 2.05);
}

// Eight chains, each used twice: a channel's part of 128 KiB is 8 KiB and a sixteenth of it 512 bytes; of 16 KiB 64 bytes, so a warp's 256; of 1 MiB by
// LL128 64 KiB and 4 KiB.
TEST(LibraryTrees, LinesArePassedOnAsTheyCome) {
  const auto chunk = [](const char* protocol, std::int64_t bytes) {
    const CollectivePlan plan = Job("dgx-a100", "nccl-2.27", 16, A::Library, protocol).plan(Bytes(bytes));
    EXPECT_EQ(plan.algorithm, A::Tree);
    EXPECT_EQ(plan.phases.front().orders.channels(), 8);
    return plan.phases.front().chunk * plan.element_bytes;
  };
  EXPECT_EQ(chunk("ll", 128 << 10), 512);
  EXPECT_EQ(chunk("ll", 16 << 10), 256);
  EXPECT_EQ(chunk("ll128", 1 << 20), 4096);
}

// 16 channels, 8 heads, chunks of at most 128 KiB: below 64 rounds of them 64 KiB, below 8 rounds of those 32, below 2 of those 16 (one node); over two
// nodes below four rounds 64 KiB, below one of those 32, and each of two trees has half of the channels; over four nodes never more than 64.
TEST(LibraryNvls, SmallSizesTakeShorterChunks) {
  const auto kib = [](int gpus, Bytes size) {
    Job job("dgx-h100", "nccl-2.27", gpus, A::Nvls);
    return job.plan(size).phases.front().chunk * 4 / 1024;
  };
  EXPECT_EQ(kib(8, Bytes::mib(1024)), 128 * 16);
  EXPECT_EQ(kib(8, Bytes::mib(1023)), 64 * 16);
  EXPECT_EQ(kib(8, Bytes::mib(63)), 32 * 16);
  EXPECT_EQ(kib(8, Bytes::mib(7)), 16 * 16);
  EXPECT_EQ(kib(16, Bytes::mib(64)), 128 * 8);
  EXPECT_EQ(kib(16, Bytes::mib(63)), 64 * 8);
  EXPECT_EQ(kib(16, Bytes::mib(7)), 32 * 8);
  EXPECT_EQ(kib(32, Bytes::mib(1024)), 64 * 8);
}

TEST(LibraryNvls, WhoCannotHaveItIsTold) {
  const auto fault = [](const char* cluster, const char* library, int gpus,
                        const char* protocol = "auto") -> std::string {
    try {
      const Job job(cluster, library, gpus, A::Nvls, protocol);
      job.time(Bytes::mib(1));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  const auto says = [](const std::string& text, const char* words) { return text.find(words) != std::string::npos; };
  EXPECT_TRUE(says(fault("dgx-a100", "nccl-2.27", 8), "no switch of the node adds"));
  EXPECT_TRUE(says(fault("dgx-h100", "nccl-2.10", 8), "library nccl-2.10 has no [nvls]"));
  EXPECT_TRUE(says(fault("dgx-h100", "nccl-2.27", 12), "12 GPUs leave the last node short; expected a multiple of 8"));
  EXPECT_TRUE(says(fault("dgx-h100", "nccl-2.27", 8, "ll"), "NVLS goes by \"simple\" only; expected auto or simple"));
  for (const int gpus : {1, 2, 8, 32}) EXPECT_EQ(fault("dgx-h100", "nccl-2.27", gpus), "") << gpus;
  Job one_node("dgx-h100", "nccl-2.27", 16, A::Nvls);
  one_node.in.library.nvls.trees = false;
  EXPECT_THROW(one_node.plan(Bytes::mib(1)), ConfigError);
}

// With a protocol that NVLS does not go by, auto does not take it.
TEST(LibraryNvls, AutoTakesItOnlyByItsProtocol) {
  const Bytes size = Bytes::mib(256);
  EXPECT_EQ(Job("dgx-h100", "nccl-2.27", 8, A::Auto).plan(size).algorithm, A::Nvls);
  EXPECT_NE(Job("dgx-h100", "nccl-2.27", 8, A::Auto, "ll128").plan(size).algorithm, A::Nvls);
}

// The estimate has the stages, rates and limits of the events but for how stages of several shares overlap: a fifth.
TEST(LibraryNvls, TheEstimateIsNearTheEvents) {
  for (const int gpus : {8, 16, 32, 64}) {
    for (const int mib : {1, 16, 64, 512}) {
      const Job job("dgx-h100", "nccl-2.27", gpus, A::Nvls);
      const CollectivePlan plan = job.plan(Bytes::mib(mib));
      const Time launch = job.in.library.launch.value;
      const Time events = job.time(Bytes::mib(mib)).time - launch;
      EXPECT_NEAR(sim::estimate(plan, job.context(), job.number_of("simple")) / events, 1, 0.2)
          << gpus << " GPUs, " << mib << " MiB";
    }
  }
}

// [effects] protocol = false: NVLink's whole rate, no stage of a kernel, no limit of trees: 1 GiB x 9 / 8 over 18 cables, and a chunk (1/64 of a share's rounds) to fill.
TEST(LibraryNvls, TheProtocolEffectSwitchesItsCostsOff) {
  Job job("dgx-h100", "nccl-2.27", 8, A::Nvls);
  job.in.run.effects.protocol = job.in.run.effects.link_latency = job.in.run.effects.coordination = false;
  job.in = without_switched_off(job.in);
  const NvlinkSpec& cables = job.in.cluster.node.nvlink;
  const double wire = 9.0 / 8 * double(1 << 30) / (cables.per_link.value.bytes_per_second() * cables.links_per_gpu);
  const double took = job.time(Bytes(1 << 30)).time.seconds();
  EXPECT_GT(took, wire);
  EXPECT_LT(took, wire * (1 + 1.1 / 64));
}

// [effects] protocol = false: eight A100 are then joined by their cables alone. 1 GiB over n = 8 by rings:
// 2 (n - 1) / n x 2^30 B over the cables of a GPU; hops without cost. 1 % covers the last pieces of unequal channels.
TEST(LibraryLimits, TheProtocolEffectSwitchesThemOff) {
  Job job("dgx-a100", "nccl-2.8", 8);
  const Bytes size(1 << 30);
  const auto busbw = [&](const Job& j) {
    return 2.0 * 7 / 8 * double(size.count()) / j.time(size).time.seconds() / 1e9;
  };
  EXPECT_LT(busbw(job), 235);
  job.in.run.effects.protocol = job.in.run.effects.link_latency = job.in.run.effects.coordination = false;
  Job bare = job;
  bare.in = without_switched_off(job.in);
  EXPECT_FALSE(bare.in.library.limits);
  const NvlinkSpec& cables = bare.in.cluster.node.nvlink;
  EXPECT_NEAR(busbw(bare), cables.per_link.value.bytes_per_second() * cables.links_per_gpu / 1e9, 0.01 * busbw(bare));
  EXPECT_GT(busbw(bare), 235);
}

// LL on eight V100 moves no more than 39 GB/s and no more than a quarter of what the library takes NVLink for: 6 rings x 21 GB/s x 0.25 =
// 31.5 GB/s (nccl-2.8, [tuning]), whatever the cables allow. 64 MiB: the base + 14 messages + 2 x 7/8 x 2^26 B / 31.5 GB/s.
TEST(LibraryLimits, TheEstimateKnowsThem) {
  const Job job("dgx1-v100", "nccl-2.8", 8);
  const CollectivePlan plan = job.plan(Bytes(1 << 26));
  const int ll = job.number_of("ll");
  const ProtocolSpec& p = job.in.library.protocols[static_cast<std::size_t>(ll)];
  const Time hop = p.ring.nvlink + job.in.cluster.node.nvlink.latency.value;
  const Time by_hand = p.ring.base + hop * 14 + Bytes(7 * (1 << 26) / 4) / Bandwidth::gigabytes_per_second(31.5);
  EXPECT_NEAR(sim::estimate(plan, job.context(), ll) / by_hand, 1, 1e-6);
  EXPECT_LT(sim::estimate(plan, without_limits(job).context(), ll), by_hand);
}

// "auto" without the library's rule judges by what the events will charge: where the limits make it choose otherwise, its choice is the
// faster one in events too.
TEST(LibraryLimits, AutoChoosesByThem) {
  int differ = 0;
  for (const char* library : {"nccl-2.6", "nccl-2.8", "nccl-2.27"}) {
    for (int shift = 14; shift <= 24; ++shift) {
      const Bytes size(std::int64_t{1} << shift);
      const Job job("dgx1-v100", library, 8);
      const std::string with = job.chosen(size), without = without_limits(job).chosen(size);
      if (with == without) continue;
      ++differ;
      EXPECT_LT(Job("dgx1-v100", library, 8, A::Ring, with).time(size).time,
                Job("dgx1-v100", library, 8, A::Ring, without).time(size).time)
          << library << " " << size.count() << " bytes: " << with << " and " << without;
    }
  }
  EXPECT_GT(differ, 0);
}

// The model's error of collectives is one of time as a whole: every collective takes exp(error) times as long, with the algorithm and the
// protocol that it had. Events are linear in all times; each of at most some thousand hops in a row rounds to a picosecond.
TEST(LibraryLimits, TheErrorOfCollectivesStretchesEveryOneOfThem) {
  ModelError error;
  error.collective = {-std::log(1.25), std::log(1.5), "s"};
  const struct {
    const char *cluster, *library;
    int gpus;
  } jobs[] = {{"dgx1-v100", "nccl-2.4", 8},  {"dgx1-v100", "nccl-2.6", 8}, {"dgx1-v100", "nccl-2.8", 6},
              {"dgx-a100", "nccl-2.8", 16},  {"abci", "nccl-2.4", 16},     {"abci", "nccl-2.6", 8},
              {"dgx-h100", "nccl-2.27", 16}, {"abci", "gloo-tcp", 8},      {"dgx1-v100", "plain", 8}};
  for (const auto& j : jobs) {
    for (const A algorithm : {A::Library, A::Ring, A::Tree, A::Nvls}) {
      if (algorithm == A::Nvls && std::string(j.cluster) != "dgx-h100") continue;
      const Job job(j.cluster, j.library, j.gpus, algorithm);
      if (algorithm == A::Library && job.in.library.tuning.rule == TuningRule::None) continue;
      for (const double to : {1.0, -1.0}) {
        Job other = job;
        const auto errors = model_errors(job.in, error);
        ASSERT_EQ(errors.back().name, "model: time of collectives");
        errors.back().set(other.in, to);
        const double factor = to > 0 ? 1.5 : 1 / 1.25;
        for (const std::int64_t bytes : {std::int64_t{4} << 10, std::int64_t{512} << 10, std::int64_t{24} << 20}) {
          const sim::CollectiveTime a = job.time(Bytes(bytes)), b = other.time(Bytes(bytes));
          const std::string what = std::string(j.cluster) + " " + j.library + " " + std::to_string(j.gpus) + ", " +
                                   word_of(algorithm) + ", " + std::to_string(bytes) + " bytes";
          EXPECT_EQ(a.protocol, b.protocol) << what;
          EXPECT_EQ(a.messages, b.messages) << what;
          EXPECT_NEAR(b.time / a.time / factor, 1, 1e-4) << what;
        }
      }
    }
  }
}

}  // namespace
}  // namespace lockstep
