#include "core/plan/library_choice.hpp"

#include <gtest/gtest.h>

#include "experiments/config_io/config_io.hpp"

namespace lockstep {
namespace {

using A = AllreduceAlgorithm;

const DataPaths kData{std::string(LOCKSTEP_SOURCE_DIR) + "/data"};

struct Subject {
  LibrarySpec library;
  LibraryView view;
  std::vector<LibraryEstimate> at(Bytes size) const { return library_estimates(library, view, size); }
  std::string choice(Bytes size) const {
    const auto all = at(size);
    const int i = library_choice(all);
    if (i < 0) return "none";
    const auto& e = all[static_cast<std::size_t>(i)];
    return (e.algorithm == A::Nvls   ? "nvls/"
            : e.algorithm == A::Tree ? "tree/"
                                     : "ring/") +
           library.protocols[static_cast<std::size_t>(e.protocol)].name;
  }
  const LibraryEstimate& of(const std::vector<LibraryEstimate>& all, A algorithm, const std::string& protocol) const {
    for (const auto& e : all) {
      if (e.algorithm == algorithm && library.protocols[static_cast<std::size_t>(e.protocol)].name == protocol)
        return e;
    }
    throw std::out_of_range(protocol);
  }
};

Subject subject(const std::string& library, const std::string& cluster, int gpus) {
  Subject s{read_library(library, kData), {}};
  const ClusterSpec c = read_cluster(cluster, kData);
  s.view = library_view(c.node, s.library, std::min(gpus, c.node.gpus), gpus,
                        read_gpu(c.node.gpu, kData).compute_capability);
  return s;
}

// The evaluation of 2.27.5's rules in the fact base, ABCI: 8 GPUs on two nodes of 4.
//   ring LL      6.6 + 12 x max(0.6, 1) + 2 x 2.7 = 24.0 us         ring simple 8.4 + 12 x max(3.4, 3) + 2 x 14 = 77.2 us
//   tree LL      6.8 + 2 (3 x 0.6 + 5)            = 20.4 us         tree simple 8.4 + 2 (3 x 4 + 14)          = 60.4 us
TEST(LibraryChoice, Nccl227LatenciesOnTwoNodes) {
  const Subject s = subject("nccl-2.27", "abci", 8);
  const auto all = s.at(Bytes(8));
  EXPECT_NEAR(s.of(all, A::Ring, "ll").latency.microseconds(), 24.0, 1e-6);
  EXPECT_NEAR(s.of(all, A::Ring, "simple").latency.microseconds(), 77.2, 1e-6);
  EXPECT_NEAR(s.of(all, A::Tree, "ll").latency.microseconds(), 20.4, 1e-6);
  EXPECT_NEAR(s.of(all, A::Tree, "simple").latency.microseconds(), 60.4, 1e-6);
}

// The same at 2,048 GPUs on 512 nodes: ring LL 6.6 + (4094 - 1022) x 1 + 1022 x 2.7 = 5838 us, simple 8.4 + 3072 x 3.4 + 1022 x 14 = 24761 us,
// tree LL 6.8 + 2 (1.8 + 9 x 5) = 100.4 us, simple 8.4 + 2 (12 + 9 x 14) = 284.4 us.
TEST(LibraryChoice, Nccl227LatenciesOn512Nodes) {
  const Subject s = subject("nccl-2.27", "abci", 2048);
  const auto all = s.at(Bytes(8));
  EXPECT_NEAR(s.of(all, A::Ring, "ll").latency.microseconds(), 5838.0, 0.01);
  EXPECT_NEAR(s.of(all, A::Ring, "simple").latency.microseconds(), 24761.2, 0.01);
  EXPECT_NEAR(s.of(all, A::Tree, "ll").latency.microseconds(), 100.4, 0.01);
  EXPECT_NEAR(s.of(all, A::Tree, "simple").latency.microseconds(), 284.4, 0.01);
  EXPECT_EQ(s.choice(Bytes::mib(50)).substr(0, 5), "tree/");  // a flat ring is useless there
}

// 2.10.3 on 8 A100, 24 channels, bus min(264, 235) GB/s, algbw = bus x 8 / 14. At 16 MiB:
//   ring LL128  10 + 14 x 1.9 + 16.78 MB / (min(235 x 0.92, 24 x 20) x 8 / 14 = 123.5 GB/s) = 36.6 + 135.8 = 172.4 us
//   ring simple 8.4 + 14 x 3.4 + 16.78 MB / 134.3 GB/s = 56 + 124.9 = 180.9 us
// and 2.8.3, whose channels reach 16.9 GB/s and whose links count 20: the same bus of 12 x 20 = 240 -> 235, so min(216.2, 12 x 16.9 = 202.8).
TEST(LibraryChoice, Nccl210TakesLl128FurtherOnA100) {
  const Subject s = subject("nccl-2.10", "dgx-a100", 8);
  const auto all = s.at(Bytes::mib(16));
  EXPECT_NEAR(s.of(all, A::Ring, "ll128").time.microseconds(), 172.4, 0.1);
  EXPECT_NEAR(s.of(all, A::Ring, "simple").time.microseconds(), 180.9, 0.1);
  EXPECT_EQ(s.choice(Bytes::mib(16)), "ring/ll128");
  EXPECT_EQ(s.choice(Bytes::mib(32)), "ring/simple");
  EXPECT_EQ(subject("nccl-2.8", "dgx-a100", 8).choice(Bytes::mib(16)), "ring/simple");
}

// Before Ampere a simple ring over several nodes is 1.9 times as slow once bytes / (channels x ranks) reaches 64: 2 x 8 x 64 = 1,024 bytes.
TEST(LibraryChoice, RingsOverNodesSlowDown) {
  const Subject s = subject("nccl-2.27", "abci", 8);
  EXPECT_NEAR(s.of(s.at(Bytes(1023)), A::Ring, "simple").latency.microseconds(), 77.2, 1e-6);
  EXPECT_NEAR(s.of(s.at(Bytes(1024)), A::Ring, "simple").latency.microseconds(), 77.2 * 1.9, 1e-6);
}

// ABCI's adapters hang on the processors: no LL128 between nodes; inside one node it is allowed; DGX-1's hang below the GPUs' switches.
TEST(LibraryChoice, Ll128WantsGpuAndNicBelowOneSwitch) {
  const Subject far = subject("nccl-2.8", "abci", 8);
  const auto all = far.at(Bytes::mib(1));
  EXPECT_FALSE(far.of(all, A::Ring, "ll128").allowed);
  EXPECT_NE(far.of(all, A::Ring, "ll128").reason.find("PCIe switch"), std::string::npos);
  const Subject inside = subject("nccl-2.8", "abci", 4), near = subject("nccl-2.8", "dgx1-v100", 16);
  EXPECT_TRUE(inside.of(inside.at(Bytes::mib(1)), A::Ring, "ll128").allowed);
  EXPECT_TRUE(near.of(near.at(Bytes::mib(1)), A::Ring, "ll128").allowed);
}

// NCCL 2.4, DGX-1V: 6 rings, 12 channels with their copies; LL up to 12 x 256 threads x 8 pieces x 64 bytes = 1.5 MiB; never a tree in one node.
TEST(LibraryChoice, Nccl24TakesLlUpToAThresholdAndNoTreeInANode) {
  const Subject s = subject("nccl-2.4", "dgx1-v100", 8);
  EXPECT_EQ(s.view.ring.count, 6);
  EXPECT_EQ(s.choice(Bytes(8)), "ring/ll");
  EXPECT_EQ(s.choice(Bytes::kib(1536)), "ring/ll");
  EXPECT_EQ(s.choice(Bytes(1536 * 1024 + 8)), "ring/simple");
  EXPECT_EQ(s.choice(Bytes::mib(1024)), "ring/simple");
}

// NCCL 2.4 between nodes, 4 DGX-1V: ring 5 x 4 channels x 2 = 40 GB/s and 6 x 31 = 186 us, tree 30 GB/s and 15 x 2 + 4 x 7 = 58 us: equal at
// 40 x 30 / 10 GB/s x 128 us = 15.36 MB. On two nodes the tree is also faster (60 GB/s): always.
TEST(LibraryChoice, Nccl24TreeThreshold) {
  const Subject four = subject("nccl-2.4", "dgx1-v100", 32);
  EXPECT_EQ(four.view.ring.count, 4);
  EXPECT_EQ(four.choice(Bytes(15359000)), "tree/simple");
  EXPECT_EQ(four.choice(Bytes(15361000)), "ring/simple");  // LL of a ring ends at 8 x 256 x 32 pieces x 64 x 2 = 8 MiB
  const Subject two = subject("nccl-2.4", "dgx1-v100", 16);
  EXPECT_EQ(two.choice(Bytes::mib(1024)), "tree/simple");
}

// NCCL 2.8.3 on one DGX A100: LL ring at first, simple rings for the largest sizes; in between whatever estimates least.
// 1 MiB: ring LL 3.6 + 14 x 0.47 + 1.048576e6 / (58.75e9 x 8 / 14) s = 10.18 + 31.23 = 41.4 us (235 GB/s / 4 = 58.75).
TEST(LibraryChoice, Nccl28OnDgxA100) {
  const Subject s = subject("nccl-2.8", "dgx-a100", 8);
  EXPECT_NEAR(s.of(s.at(Bytes::mib(1)), A::Ring, "ll").time.microseconds(), 41.41, 0.01);
  EXPECT_EQ(s.choice(Bytes(8)), "ring/ll");
  EXPECT_EQ(s.choice(Bytes::mib(1024)), "ring/simple");
}

// 2.27 on eight H100: nine times a channel's speed over 18 x 20.6 = 370.8 GB/s, so 40 of [60, 50, 40, ...]: 8 x 40 x 5/6 = 266.7 GB/s.
//   NVLS 25 + 1.048576 MB / 266.7 GB/s = 28.9 us; ring LL 6.6 + 14 x 0.6 + 1.048576 MB / (141 GB/s x 8 / 14) = 28.0 us; of 2 MiB 32.9 and 41.0.
// A log of 2.30.7 shows the same: LL rings up to 1 MiB, NVLS from 2 MiB.
TEST(LibraryChoice, NvlsOnEightH100) {
  const Subject s = subject("nccl-2.27", "dgx-h100", 8);
  const auto all = s.at(Bytes::mib(1));
  EXPECT_NEAR(s.of(all, A::Nvls, "simple").time.microseconds(), 28.93, 0.01);
  EXPECT_NEAR(s.of(all, A::Ring, "ll").time.microseconds(), 28.01, 0.01);
  EXPECT_EQ(s.choice(Bytes::mib(1)), "ring/ll");
  EXPECT_EQ(s.choice(Bytes::mib(2)), "nvls/simple");
  EXPECT_EQ(s.choice(Bytes::mib(4096)), "nvls/simple");
  EXPECT_EQ(subject("nccl-2.27", "dgx-h100", 2).choice(Bytes::mib(64)), "ring/simple");  // from three GPUs on
  EXPECT_EQ(subject("nccl-2.10", "dgx-h100", 8).view.nvls_bus, Bandwidth());             // the library has none
  EXPECT_EQ(subject("nccl-2.27", "dgx-a100", 8).view.nvls_bus, Bandwidth());             // the switches add nothing
}

// Over two nodes a channel has 40 GB/s (the NICs 45 of 47), over four half of the NICs' 45: 25 + 2 log2(nodes) x 14 us + 256 MiB / (8 x speed x 5/6).
TEST(LibraryChoice, NvlsTreesOverNodes) {
  const Subject two = subject("nccl-2.27", "dgx-h100", 16), four = subject("nccl-2.27", "dgx-h100", 32);
  const Bytes size = Bytes::mib(256);
  EXPECT_NEAR(two.of(two.at(size), A::Nvls, "simple").time.microseconds(), 53 + 268435456 / 266666.67, 0.1);
  EXPECT_NEAR(four.of(four.at(size), A::Nvls, "simple").time.microseconds(), 81 + 268435456 / 150000.0, 0.1);
  EXPECT_EQ(subject("nccl-2.27", "dgx-h100", 12).view.nvls_bus, Bandwidth());  // the second node is not full
}

// A log of NCCL on three nodes of eight H100 (NVIDIA/nccl#1453): NVLS tree, simple, 4 MiB: 105.43 us. Its NICs are not named; with 24.5 GB/s, of 400 Gbit/s shared by two or
// of 200 each, a channel has half of 24: 25 + 2 x 14 + 4194304 / (8 x 12 x 5/6 GB/s) = 105.43 us.
TEST(LibraryChoice, NvlsTreeOfALog) {
  const LibrarySpec library = read_library("nccl-2.27", kData);
  ClusterSpec c = read_cluster("dgx-h100", kData);
  c.node.nic.rate.value = Bandwidth::gigabytes_per_second(24.5);
  const Subject s{library, library_view(c.node, library, 8, 24, 90)};
  EXPECT_NEAR(s.of(s.at(Bytes::mib(4)), A::Nvls, "simple").time.microseconds(), 105.43, 0.01);
}

Subject restricted(Subject s, std::vector<std::string> among, const std::string& protocol = "auto") {
  s.view.among = std::move(among);
  s.view.protocol = protocol;
  return s;
}

/// Two nodes of eight A100 and four NICs of 100 Gbit/s, as p4d.24xlarge.
Subject two_p4d(const std::string& library) {
  Subject s{read_library(library, kData), {}};
  NodeSpec node = read_cluster("dgx-a100", kData).node;
  node.nic.count = 4;
  node.nic.rate.value = Bandwidth::gigabytes_per_second(12.5);
  node.nic.nic_of_gpu = {0, 0, 1, 1, 2, 2, 3, 3};
  s.view = library_view(node, s.library, 8, 16, 80);
  return s;
}

// NCCL_ALGO=Ring: the rule's own protocols of a ring, size by size, and its times.
TEST(LibraryChoice, AmongLeavesTheRuleItsProtocols) {
  const Subject free = two_p4d("nccl-2.8"), rings = restricted(free, {"ring"});
  EXPECT_EQ(free.choice(Bytes::mib(1024)), "tree/simple");
  EXPECT_EQ(rings.choice(Bytes::mib(1024)), "ring/simple");
  for (const int kib : {1, 64, 1024, 16384, 262144}) {
    const auto all = free.at(Bytes::kib(kib)), left = rings.at(Bytes::kib(kib));
    const int own = library_choice(all, A::Ring), chosen = library_choice(left);
    ASSERT_GE(own, 0);
    EXPECT_EQ(chosen, own) << kib;
    EXPECT_EQ(left[static_cast<std::size_t>(chosen)].time, all[static_cast<std::size_t>(own)].time) << kib;
  }
  EXPECT_EQ(restricted(free, {"ring", "tree"}).choice(Bytes::mib(1024)), "tree/simple");
}

TEST(LibraryChoice, AProtocolLeavesTheRuleItsAlgorithms) {
  const Subject s = subject("nccl-2.27", "dgx-h100", 16);
  EXPECT_EQ(s.choice(Bytes::mib(1024)), "nvls/simple");
  EXPECT_EQ(restricted(s, {}, "ll").choice(Bytes::mib(1024)).substr(5), "ll");
  EXPECT_EQ(restricted(s, {"nvls"}).choice(Bytes(8)), "nvls/simple");
  EXPECT_EQ(restricted(s, {"nvls"}, "ll").choice(Bytes(8)), "none");
}

// NCCL 2.4: NCCL_TREE_THRESHOLD=0 leaves rings with their own limit of LL, two nodes: 8 channels x 256 x 16 pieces x 64 x 2 = 4 MiB; NCCL_LL_THRESHOLD takes the limit's place.
TEST(LibraryChoice, RestrictionsTakeThePlaceOfThresholds) {
  const Subject s = subject("nccl-2.4", "dgx1-v100", 16), rings = restricted(s, {"ring"});
  EXPECT_EQ(rings.choice(Bytes::mib(4)), "ring/ll");
  EXPECT_EQ(rings.choice(Bytes(4 * 1024 * 1024 + 8)), "ring/simple");
  EXPECT_EQ(restricted(s, {"ring"}, "simple").choice(Bytes(8)), "ring/simple");
  EXPECT_EQ(restricted(s, {"ring"}, "ll").choice(Bytes::mib(1024)), "ring/ll");
  // Two nodes of one GPU: ring 6 us, tree 15 us, so no size goes by a tree unless it is asked for.
  const Subject pair{s.library, library_view(read_cluster("dgx1-v100", kData).node, s.library, 1, 2, 70)};
  EXPECT_EQ(pair.choice(Bytes::mib(1024)), "ring/simple");
  EXPECT_EQ(restricted(pair, {"tree"}).choice(Bytes::mib(1024)), "tree/simple");
}

TEST(LibraryChoice, WhyNothingIsLeft) {
  const auto why = [](const std::string& library, const std::string& cluster, int gpus, std::vector<std::string> among,
                      const std::string& protocol = "auto") {
    const NodeSpec node = read_cluster(cluster, kData).node;
    const Subject s = restricted(subject(library, cluster, gpus), std::move(among), protocol);
    return nothing_left(node, s.library, std::min(gpus, node.gpus), s.view);
  };
  EXPECT_EQ(why("nccl-2.8", "dgx-h100", 16, {"nvls"}),
            "nvls: library nccl-2.8 has no [nvls]; expected one such as nccl-2.27");
  EXPECT_EQ(why("nccl-2.27", "dgx-a100", 16, {"nvls"}),
            "nvls: no switch of the node adds, or a link to it has failed; expected node.nvlink.switch_adds = true");
  EXPECT_EQ(why("nccl-2.27", "dgx-h100", 2, {"nvls"}), "nvls: 2 GPUs; expected 3 or more");
  EXPECT_EQ(why("nccl-2.27", "dgx-h100", 8, {"nvls"}, "ll"),
            "nvls: it goes by \"simple\" only; expected auto or simple");
  EXPECT_EQ(why("nccl-2.8", "abci", 8, {"ring"}, "ll128"), "ring/ll128: LL128 needs GPU and NIC below one PCIe switch");
  EXPECT_EQ(why("nccl-2.4", "dgx1-v100", 8, {"tree"}),
            "tree/simple: no trees inside one node; tree/ll: no trees inside one node");
  EXPECT_EQ(why("nccl-2.27", "dgx-a100", 2, {"tree"}), "");
  EXPECT_EQ(why("nccl-2.27", "dgx-a100", 1, {"tree"}, "ll"), "");
  EXPECT_EQ(why("nccl-2.27", "dgx-a100", 16, {"tree", "nvls"}), "");
}

TEST(LibraryChoice, OneRankAndNoRule) {
  EXPECT_EQ(restricted(subject("nccl-2.8", "dgx1-v100", 1), {"tree"}, "ll").choice(Bytes::mib(1)), "ring/ll");
  EXPECT_EQ(subject("nccl-2.8", "dgx1-v100", 1).choice(Bytes::mib(1)), "ring/simple");
  const Subject s = subject("nccl-2.8", "dgx1-v100", 8);
  EXPECT_TRUE(library_estimates(read_library("plain", kData), s.view, Bytes(8)).empty());
  EXPECT_EQ(library_choice({}), -1);
}

}  // namespace
}  // namespace lockstep
