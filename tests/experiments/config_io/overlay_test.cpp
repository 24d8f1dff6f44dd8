// What a run lays over the files that it names.
#include "experiments/config_io/overlay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/config_io/config_io.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

using testing::ElementsAre;

const DataPaths kData{std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "data"};

Node parsed(const Scratch& scratch, const std::string& text) {
  return parse_toml_file(scratch.write("over.toml", text));
}

TEST(Overlay, ReachesEveryKindOfFieldOfAClusterFile) {
  const Scratch scratch;
  const Node over = parsed(scratch,
                           "nodes = 9\nnic.rate = \"25GBps\"\nnode.pcie.switches = [[0, 1, 2, 3]]\n"
                           "node.pcie.cpu_of_switch = [0]\nnode.nvlink.pairs.0.2 = 1\n"
                           "network.tiers.1.cables = 2\nnetwork.tiers.director.hop = \"1us\"\n");
  const ClusterSpec plain = read_cluster("abci", kData);
  const ClusterSpec c = read_cluster("abci", kData, {}, {&over, "cluster_file"});
  EXPECT_EQ(c.nodes, 9);
  EXPECT_EQ(c.node.nic.rate.value, Bandwidth::gigabytes_per_second(25));
  EXPECT_EQ(c.node.pcie.switches, (std::vector<std::vector<int>>{{0, 1, 2, 3}}));
  EXPECT_EQ(c.node.nvlink.pairs[0].links, 1);
  EXPECT_EQ(c.node.nvlink.pairs[1].links, plain.node.nvlink.pairs[1].links);
  EXPECT_EQ(c.network.tiers[1].cables, 2);
  EXPECT_EQ(c.network.tiers[2].hop.value, Time::microseconds(1));
  EXPECT_EQ(c.network.tiers[0].rate.value, plain.network.tiers[0].rate.value);
  EXPECT_EQ(c.node.nic.latency.source, plain.node.nic.latency.source);
}

// Bands come from sources: another value has none until it brings its own.
TEST(Overlay, ASourcedValueKeepsNoBandUnlessGiven) {
  const Scratch scratch;
  const Node plain = parsed(scratch, "memory_achieved = \"1000GBps\"");
  const auto gb = [](double g) { return Bandwidth::gigabytes_per_second(g); };
  GpuSpec g = read_gpu("v100-sxm2-16gb", kData, {}, {&plain, "gpu_file"});
  EXPECT_EQ(g.memory_achieved.low, gb(1000));
  EXPECT_EQ(g.memory_achieved.high, gb(1000));
  EXPECT_EQ(g.memory_achieved.source, "");
  const Node banded = parsed(scratch, "memory_achieved = { value = \"1000GBps\", low = \"900GBps\" }");
  g = read_gpu("v100-sxm2-16gb", kData, {}, {&banded, "gpu_file"});
  EXPECT_EQ(g.memory_achieved.low, gb(900));
  EXPECT_EQ(g.memory_achieved.high, gb(1000));
  const Node band = parsed(scratch, "memory_achieved.high = \"860GBps\"");  // only the band moves
  g = read_gpu("v100-sxm2-16gb", kData, {}, {&band, "gpu_file"});
  EXPECT_EQ(g.memory_achieved.value, gb(790));
  EXPECT_EQ(g.memory_achieved.low, gb(739));
  EXPECT_EQ(g.memory_achieved.high, gb(860));
}

TEST(Overlay, EntriesOfALibraryByNameAndByNumber) {
  const Scratch scratch;
  const Node over =
      parsed(scratch, "launch = \"5us\"\nprotocols.ll.ring_nvlink = \"1us\"\nprotocols.0.efficiency = 0.5\n");
  const LibrarySpec l = read_library("nccl-2.4", kData, {}, {&over, "library_file"});
  EXPECT_EQ(l.launch.value, Time::microseconds(5));
  EXPECT_EQ(l.protocols[1].ring.nvlink, Time::microseconds(1));
  EXPECT_EQ(l.protocols[0].efficiency, 0.5);
}

TEST(Overlay, FaultsNameTheKeyAndThePlaceInTheRunFile) {
  const Scratch scratch;
  const Node over =
      parsed(scratch,
             "nodes = 0\nnode.nic.rates = \"25GBps\"\nnic.rate = 25\n"
             "network.tiers.7.cables = 2\nnetwork.tiers.spine.cables = 2\nnode.nvlink.latency.low = \"1us\"\n");
  const std::vector<std::string> faults = scratch.faults([&] {
    read_cluster("abci", kData, {}, {&over, "cluster_file"});
  });
  EXPECT_THAT(
      faults,
      testing::UnorderedElementsAre(
          testing::StartsWith("over.toml:1:1: cluster_file.nodes: "),
          "over.toml:2:10: cluster_file.node.nic.rates: unknown key; did you mean \"rate\"?",
          testing::StartsWith("over.toml:3:5: cluster_file.node.nic.rate: "),
          "over.toml:4:15: cluster_file.network.tiers[7]: there is no such entry; expected 0 to 2, or one of leaf, "
          "fbb, "
          "director",
          "over.toml:5:15: cluster_file.network.tiers[spine]: there is no such entry; expected 0 to 2, or one of leaf, "
          "fbb, director",
          testing::StartsWith("over.toml:6:21: cluster_file.node.nvlink.latency.low: is above the value")));
}

TEST(Overlay, LeavesGiveBackTheTable) {
  const Scratch scratch;
  const Node table =
      parsed(scratch,
             "nic.rate = \"25GBps\"\n[network.tiers.1]\ncables = 2\nrate = { value = \"1GBps\", low = 0.5 }\n"
             "[x]\nlist = [[1, 2], [true]]\n\"odd key\" = 2.0\nempty = {}\n");
  std::string text;
  for (const FileValue& v : file_values(&table)) text += v.key + " = " + v.value + "\n";
  EXPECT_EQ(text,
            "nic.rate = \"25GBps\"\nnetwork.tiers.1.cables = 2\nnetwork.tiers.1.rate.value = \"1GBps\"\n"
            "network.tiers.1.rate.low = 0.5\nx.list = [[1, 2], [true]]\nx.\"odd key\" = 2.0\nx.empty = {}\n");
  const Node again = parsed(scratch, text);
  std::string twice;
  for (const FileValue& v : file_values(&again)) twice += v.key + " = " + v.value + "\n";
  EXPECT_EQ(twice, text);
}

TEST(Overlay, TheRunFileKeepsWhatItLaysOver) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", "[cluster]\nfile = \"abci\"\n[cluster_file]\nnic.rate = \"25GBps\"\n");
  const RunSpec run = read_run(path, {"cluster_file.network.tiers[1].cables=2", "library_file.launch=5us"});
  ASSERT_EQ(run.files.cluster.size(), 2u);
  EXPECT_EQ(run.files.cluster[1].key, "network.tiers.1.cables");
  EXPECT_EQ(run.files.cluster[1].value, "2");
  ASSERT_EQ(run.files.library.size(), 1u);
  EXPECT_EQ(run.files.library[0].value, "\"5us\"");
  EXPECT_THAT(scratch.faults([&] { read_run(path, {"gpu_file=3"}); }),
              ElementsAre("--set gpu_file=3: gpu_file: expected a table [gpu_file], found 3"));
}

}  // namespace
}  // namespace lockstep
