// What a user can get wrong in a file: each message as it is printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/config_io/config_io.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> run_faults(const std::string& text) {
  const Scratch scratch;
  const auto path = scratch.write("run.toml", text);
  return scratch.faults([&] { read_run(path); });
}

TEST(BadInput, MissingFile) {
  const Scratch scratch;
  EXPECT_THAT(scratch.faults([&] { read_run(scratch.directory() / "nope.toml"); }),
              ElementsAre("nope.toml: no such file"));
  std::filesystem::create_directory(scratch.directory() / "folder");
  EXPECT_THAT(scratch.faults([&] { read_run(scratch.directory() / "folder"); }),
              ElementsAre("folder: is a directory; expected a TOML file"));
}

// The parser takes it for impossible that anything but a key follows.
TEST(BadInput, TableWithoutAKey) {
  for (const std::string text : {"[=", "[.a]", "[[#", "[[,]]"}) {
    const auto faults = run_faults(text);
    ASSERT_EQ(faults.size(), 1u) << text;
    EXPECT_THAT(faults[0], testing::HasSubstr("not valid TOML: ")) << text;
  }
}

// Nor a letter of another alphabet where a value should begin.
TEST(BadInput, ALetterOfAnotherAlphabetForAValue) {
  for (const std::string text :
       {"a = \u0422", "a = [\u0422", "a = 5\u0422", "\u0422 = 5", "a = \u3001", "a\u3042 = 1", "a = \U0001f600"}) {
    const auto faults = run_faults(text);
    ASSERT_EQ(faults.size(), 1u) << text;
    EXPECT_THAT(faults[0], testing::HasSubstr("not valid TOML: ")) << text;
  }
}

TEST(BadInput, UnreadableToml) {
  const auto faults = run_faults("[training]\nepochs = \n");
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_THAT(faults[0], testing::StartsWith("run.toml:2:10: not valid TOML: "));
  const auto twice = run_faults("[training]\nepochs = 1\nepochs = 2\n");
  ASSERT_EQ(twice.size(), 1u);
  EXPECT_THAT(twice[0], testing::StartsWith("run.toml:3:"));
}

TEST(BadInput, UnknownKeyWithTheNearestKnownOne) {
  EXPECT_THAT(run_faults("[training]\n  epoch = 30\n[trainig]\nx = 1\n"),
              ElementsAre("run.toml:2:3: training.epoch: unknown key; did you mean \"epochs\"?",
                          "run.toml:3:2: trainig: unknown key; did you mean \"training\"?"));
  EXPECT_THAT(
      run_faults("[setup]\nzzz = 1\n"),
      ElementsAre("run.toml:2:1: setup.zzz: unknown key; known here: evaluation, first_epoch_extra, source, startup"));
}

// A misspelt key leaves its default in place; what follows from the default is not the user's fault.
TEST(BadInput, AMisspeltKeyDoesNotCauseASecondFault) {
  EXPECT_THAT(run_faults("[training]\nglobal_bach = 81920\n[cluster]\ngpus = 2048\n"),
              ElementsAre("run.toml:2:1: training.global_bach: unknown key; did you mean \"global_batch\"?"));
  EXPECT_THAT(run_faults("[trainig]\nglobal_batch = 81920\n[cluster]\ngpus = 2048\n"),
              ElementsAre("run.toml:1:2: trainig: unknown key; did you mean \"training\"?"));
}

TEST(BadInput, MissingOrWrongUnit) {
  EXPECT_THAT(
      run_faults("[buckets]\nsize = 25\ncycle = \"5 MB\"\n[data]\nstorage_rate = \"25GB\"\nimage_bytes = true\n"),
      ElementsAre(
          "run.toml:2:1: buckets.size: \"25\" is not a size (the unit is missing); write \"25MiB\" or \"4096B\"",
          "run.toml:3:1: buckets.cycle: \"5 MB\" is not a time; write \"700ns\", \"2.5us\" or \"1.3s\"",
          "run.toml:5:1: data.storage_rate: \"25GB\" is not a rate; write \"25GBps\" or \"200Gbps\"",
          "run.toml:6:1: data.image_bytes: \"true\" is not a size; write \"25MiB\" or \"4096B\""));
}

TEST(BadInput, NegativeOrZeroWhereItMakesNoSense) {
  EXPECT_THAT(
      run_faults("[training]\nepochs = 0\nglobal_batch = -8\nseed = -1\n[buckets]\nsize = \"0B\"\ncycle = \"-1ms\"\n"),
      ElementsAre("run.toml:2:1: training.epochs: 0 epochs; expected more than 0",
                  "run.toml:3:1: training.global_batch: -8 images; expected 1 to 1000000000",
                  "run.toml:4:1: training.seed: -1 is out of range; expected 0 to 9223372036854775807",
                  "run.toml:6:1: buckets.size: 0 bytes; expected more than 0",
                  "run.toml:7:1: buckets.cycle: \"-1ms\" is not a time (it is negative); write \"700ns\", \"2.5us\" or "
                  "\"1.3s\""));
}

TEST(BadInput, WrongTypes) {
  EXPECT_THAT(
      run_faults(
          "[model]\nname = 50\n[training]\nepochs = nan\nglobal_batch = 1.5\n[cluster]\ngpus = 3000000000\n"
          "[output]\ntrace = \"yes\"\ntrace_ranks = 3\ncurve = [1, \"two\", 4.5]\n[schedule]\nbatches = [[1]]\n"),
      ElementsAre("run.toml:2:1: model.name: expected text in quotes, found 50",
                  "run.toml:4:1: training.epochs: expected a number, found nan",
                  "run.toml:5:1: training.global_batch: expected a whole number, found 1.5",
                  "run.toml:7:1: cluster.gpus: 3000000000 is out of range; expected -2147483648 to 2147483647",
                  "run.toml:9:1: output.trace: expected true or false, found \"yes\"",
                  "run.toml:10:1: output.trace_ranks: expected a list such as [1, 2, 4], found 3",
                  "run.toml:11:13: output.curve[1]: expected a whole number, found \"two\"",
                  "run.toml:11:20: output.curve[2]: expected a whole number, found 4.5",
                  "run.toml:13:12: schedule.batches[0]: expected a pair such as [30, 16384], found a list of 1"));
  EXPECT_THAT(run_faults("model = \"resnet50\"\n"),
              ElementsAre("run.toml:1:1: model: expected a table [model], found \"resnet50\""));
}

TEST(BadInput, BatchNotDivisibleByGpus) {
  EXPECT_THAT(run_faults("[training]\nglobal_batch = 81921\n\n[cluster]\ngpus = 2048\n"),
              ElementsAre("run.toml:2:1: training.global_batch: 81921 images are not divisible by 2048 GPUs; expected "
                          "a multiple of 2048, such as 81920"));
}

TEST(BadInput, UnknownAlgorithmAndOtherWords) {
  EXPECT_THAT(
      run_faults("[training]\nprecision = \"fp166\"\n[allreduce]\nalgorithm = \"rign\"\nacross = "
                 "2\n[simulation]\nrouting = \"ospf\"\n"),
      ElementsAre(
          "run.toml:2:1: training.precision: \"fp166\" is not known (did you mean \"fp16\"?); expected "
          "one of fp32, tf32, fp16, bf16",
          "run.toml:4:1: allreduce.algorithm: \"rign\" is not known (did you mean \"ring\"?); expected "
          "one of auto, ring, "
          "halving_doubling, tree, node_tree, torus, hierarchical, three_phase, nvls, library",
          "run.toml:5:1: allreduce.across: expected one of auto, ring, halving_doubling, tree, node_tree, torus, "
          "hierarchical, three_phase, nvls, library "
          "in quotes, found 2",
          "run.toml:7:1: simulation.routing: \"ospf\" is not known; expected one of static, ecmp"));
}

TEST(BadInput, AmongIsAListOfTheLibrarysAlgorithms) {
  EXPECT_THAT(
      run_faults("[allreduce]\nalgorithm = \"library\"\namong = [\"ring\", \"tre\", \"ring\"]\n"),
      ElementsAre("run.toml:3:1: allreduce.among: \"tre\" is not known (did you mean \"tree\"?); expected one of "
                  "ring, tree, nvls",
                  "run.toml:3:1: allreduce.among: \"ring\" stands there twice; expected it once"));
  EXPECT_THAT(run_faults("[allreduce]\nper_bucket = [\"ring\", \"tre\", \"torus/\", 3]\n"),
              ElementsAre(testing::StartsWith(
                              "run.toml:2:23: allreduce.per_bucket[1]: \"tre\" is not known (did you mean \"tree\"?)"),
                          testing::StartsWith("run.toml:2:30: allreduce.per_bucket[2]: \"\" is not known"),
                          "run.toml:2:40: allreduce.per_bucket[3]: expected an algorithm in quotes, found 3"));
  EXPECT_THAT(run_faults("[allreduce]\nper_bucket = [\"ring/tree\"]\n"),
              ElementsAre(testing::StartsWith(
                  "run.toml:2:1: allreduce.per_bucket: expected \"ring\", or \"hierarchical/tree\"")));
  EXPECT_THAT(run_faults("[allreduce]\nalgorithm = \"library\"\nper_bucket = [\"ring\"]\n"),
              ElementsAre(testing::StartsWith(
                  "run.toml:3:1: allreduce.per_bucket: algorithm \"library\" chooses for every bucket itself")));
  EXPECT_THAT(run_faults("[allreduce]\nalgorithm = \"ring\"\namong = [\"ring\"]\n"),
              ElementsAre("run.toml:3:1: allreduce.among: restricts the choice of the library; expected algorithm "
                          "\"library\" beside it, or no among"));
  EXPECT_THAT(run_faults("[allreduce]\nalgorithm = \"library\"\namong = \"ring\"\n"),
              ElementsAre(testing::StartsWith("run.toml:3:1: allreduce.among: expected a list")));
}

TEST(BadInput, SlowRanksAreTables) {
  EXPECT_THAT(run_faults("[cluster]\ngpus = 8\n[training]\nglobal_batch = 8\n[simulation]\nslow_ranks = [{ rank = 1 }, "
                         "3, { rank = 2, factr = 2.0 }]\n"),
              testing::UnorderedElementsAre(
                  "run.toml:6:15: simulation.slow_ranks[0].factor: missing; expected what its compute time is "
                  "multiplied by, such as 1.3",
                  "run.toml:6:29: simulation.slow_ranks[1]: expected a table, found 3",
                  "run.toml:6:32: simulation.slow_ranks[2].factor: missing; expected what its compute time is "
                  "multiplied by, such as 1.3",
                  "run.toml:6:44: simulation.slow_ranks[2].factr: unknown key; did you mean \"factor\"?"));
}

// ---- cluster, library and GPU files ----

constexpr const char* kCluster =
    "nodes = 2\n"                                         // 1
    "[node]\n"                                            // 2
    "gpus = 1\n"                                          // 3
    "gpu = \"g\"\n"                                       // 4
    "[node.nic]\n"                                        // 5
    "count = 1\n"                                         // 6
    "nic_of_gpu = [0]\n"                                  // 7
    "rate = { value = \"12GBps\", source = \"test\" }\n"  // 8
    "[network]\n"                                         // 9
    "kind = \"star\"\n"                                   // 10
    "[[network.tiers]]\n"                                 // 11
    "name = \"switch\"\n";                                // 12

std::string with(std::string text, const std::string& old, const std::string& replacement) {
  const auto at = text.find(old);
  EXPECT_NE(at, std::string::npos) << old;
  return text.replace(at, old.size(), replacement);
}

std::vector<std::string> cluster_faults(const std::string& text) {
  const Scratch scratch;
  const auto path = scratch.write("c.toml", text);
  return scratch.faults([&] { read_cluster(path.string(), {}); });
}

TEST(BadCluster, TheBaseOfTheseTestsIsGood) { EXPECT_THAT(cluster_faults(kCluster), IsEmpty()); }

TEST(BadCluster, ATopologyThatIsNotConnected) {
  EXPECT_THAT(
      cluster_faults(with(kCluster, "kind = \"star\"\n[[network.tiers]]\nname = \"switch\"\n", "kind = \"none\"\n")),
      ElementsAre("c.toml:10:1: network.kind: 2 nodes and no network; the topology is not connected. Expected star or "
                  "fat_tree"));
  const std::string text = with(kCluster, "kind = \"star\"", "kind = \"fat_tree\"") + "group = 1\nrate = \"12GBps\"\n";
  EXPECT_THAT(
      cluster_faults(text),
      ElementsAre("c.toml:11:11: network.tiers: the topology is not connected: the top tier leaves 2 separate groups; "
                  "expected a last tier with group = 0"));
}

// A peer takes a trace that was cut short, prints a shorter time and ends with exit 0. A cluster that lacks anything that it needs is
// refused: ABCI's file ends with what the spines need, of which only the last, the time of a hop, has a default.
TEST(BadCluster, AFileThatWasCutShort) {
  const DataPaths data{std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "data"};
  std::ifstream in(data.data / "clusters" / "abci.toml");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line + "\n");
  ASSERT_GT(lines.size(), 20u);
  ASSERT_EQ(lines.back().rfind("hop = ", 0), 0u);
  ASSERT_EQ(lines[lines.size() - 2].rfind("rate = ", 0), 0u);
  const Scratch scratch;
  std::string text;
  for (std::size_t n = 0; n + 2 < lines.size(); ++n) {
    text += lines[n];
    const auto path = scratch.write("cut.toml", text);
    EXPECT_THAT(scratch.faults([&] { read_cluster(path.string(), data); }), testing::Not(IsEmpty())) << n << " lines";
  }
}

TEST(BadCluster, ValuesWithSources) {
  EXPECT_THAT(cluster_faults(with(kCluster, "value = \"12GBps\", source", "value = \"12GB\", sauce")),
              ElementsAre("c.toml:8:10: node.nic.rate.value: \"12GB\" is not a rate; write \"25GBps\" or \"200Gbps\"",
                          "c.toml:8:26: node.nic.rate.sauce: unknown key; did you mean \"source\"?"));
  EXPECT_THAT(
      cluster_faults(
          with(kCluster, "source = \"test\"", "low = \"13GBps\", high = \"11GBps\", confidence = \"certain\"")),
      ElementsAre(
          "c.toml:8:28: node.nic.rate.low: is above the value; expected low <= value <= high",
          "c.toml:8:44: node.nic.rate.high: is below the value; expected low <= value <= high",
          "c.toml:8:61: node.nic.rate.confidence: \"certain\" is not known; expected one of read, secondary, memory"));
  EXPECT_THAT(cluster_faults(with(kCluster, "value = \"12GBps\", ", "low = \"1GBps\", ")),
              ElementsAre("c.toml:8:1: node.nic.rate.value: missing; expected the best estimate"));
}

TEST(BadCluster, SeveralFaultsAtOnceFromReadingAndFromCore) {
  std::string text = with(kCluster, "nodes = 2", "nodes = 0");
  text = with(text, "nic_of_gpu = [0]", "nic_of_gpu = [3]");
  text = with(text, "kind = \"star\"", "kind = \"sta\"");
  text += "hop = 90\n";
  EXPECT_THAT(cluster_faults(text),
              ElementsAre("c.toml:1:1: nodes: 0 nodes; expected 1 to 1000000",
                          "c.toml:7:1: node.nic.nic_of_gpu: NIC 3 does not exist; NICs are 0 to 0",
                          "c.toml:10:1: network.kind: \"sta\" is not known (did you mean \"star\"?); expected one of "
                          "none, star, fat_tree",
                          "c.toml:13:1: network.tiers[0].hop: \"90\" is not a time (the unit is missing); write "
                          "\"700ns\", \"2.5us\" or \"1.3s\""));
}

TEST(BadCluster, NvlinkPairsHaveThreeNumbers) {
  EXPECT_THAT(cluster_faults(
                  with(kCluster, "[node.nic]", "[node.nvlink]\nper_link = \"20GBps\"\npairs = [[0, 1]]\n[node.nic]")),
              ElementsAre("c.toml:7:1: node.nvlink.pairs: entry 0 has 2 numbers; expected [GPU, GPU, links]"));
}

TEST(BadNames, AStemThatIsNotThereNamesTheNearest) {
  const Scratch scratch;
  scratch.write("clusters/abci.toml", "");
  scratch.write("clusters/flat.toml", "");
  const DataPaths paths{scratch.directory()};
  EXPECT_THAT(
      scratch.faults([&] { read_cluster("abcj", paths); }),
      ElementsAre("abcj: there is no cluster \"abcj\" (did you mean \"abci\"?); expected a path or one of abci, flat"));
  EXPECT_THAT(scratch.faults([&] {
    read_cluster("abcj", paths, {"run.toml:31:1", "cluster.file"});
  }),
              ElementsAre("run.toml:31:1: cluster.file: there is no cluster \"abcj\" (did you mean \"abci\"?); "
                          "expected a path or one of abci, flat"));
  EXPECT_THAT(scratch.faults([&] { read_cluster("", paths); }),
              ElementsAre("cluster file: no cluster is named; expected a path or one of abci, flat"));
  EXPECT_THAT(scratch.faults([&] { read_cluster("sub/x.toml", paths); }),
              ElementsAre("sub/x.toml: no such file \"sub/x.toml\"; expected a path or one of abci, flat"));
  const std::string folder = std::filesystem::temp_directory_path().string();
  EXPECT_THAT(scratch.faults([&] {
    read_cluster(folder, paths, {"run.toml:31:1", "cluster.file"});
  }),
              ElementsAre("run.toml:31:1: cluster.file: \"" + folder +
                          "\" is a directory; expected a path or one of abci, flat"));
  EXPECT_THAT(scratch.faults([&] { read_library("plane", paths); }),
              ElementsAre("plane: there is no library \"plane\"; expected a path, and libraries holds none"));
}

TEST(BadLibrary, Protocols) {
  const Scratch scratch;
  const auto read = [&](const std::string& text) {
    const auto path = scratch.write("l.toml", text);
    return scratch.faults([&] { read_library(path.string(), {}); });
  };
  EXPECT_THAT(read("source = \"test\"\n"),
              ElementsAre("l.toml: protocols: missing; expected at least one [[protocols]]"));
  EXPECT_THAT(
      read("[[protocols]]\nname = \"ll\"\nefficiency = 1.5\nring_cap = \"0Bps\"\nat_most = "
           "\"4KiB\"\n[[protocols]]\nname = \"ll\"\nat_most = \"1KiB\"\n"),
      ElementsAre("l.toml:1:3: protocols: every protocol has an at_most; expected one without, for large messages",
                  "l.toml:3:1: protocols[0].efficiency: is out of range; expected 0 < efficiency <= 1",
                  "l.toml:4:1: protocols[0].ring_cap: a rate of 0; expected more, or no key for unlimited",
                  "l.toml:7:1: protocols[1].name: protocol \"ll\" is given twice"));
  EXPECT_THAT(
      read("nvlink_share = 2\n[[protocols]]\nname = \"simple\"\n[tuning]\nrule = \"estimates\"\ntree = 0\n"
           "[[tuning.architectures]]\ncapability = 70\nnvlink = \"0Bps\"\n"
           "[[tuning.architectures]]\ncapability = 70\nnvlink = \"20GBps\"\nll = { one = \"0Bps\" }\n"),
      ElementsAre(
          "l.toml:1:1: nvlink_share: is out of range; expected 0 < share <= 1",
          "l.toml:6:1: tuning.tree: is out of range; expected 0 < share <= 1",
          "l.toml:9:1: tuning.architectures[0].nvlink: a rate of 0; expected more, or no key for unlimited",
          "l.toml:11:1: tuning.architectures[1].capability: does not rise; expected architectures from old to new",
          "l.toml:13:8: tuning.architectures[1].ll.one: a rate of 0; expected more, or no key for unlimited"));
  EXPECT_THAT(
      read("[nvls]\nprotocol = \"simpel\"\nchunk = \"0B\"\nchannels = 0\nshare = 1.5\nbelieved = "
           "0\nspeeds_inside = [20, 30]\n"
           "trees = true\ntree = { two = \"0Bps\" }\n[[protocols]]\nname = \"simple\"\n"),
      ElementsAre(
          "l.toml:1:2: nvls.inside: missing; expected how long a node takes to add and copy a chunk, such as \"25us\"",
          "l.toml:1:2: nvls.network: missing; expected what a message between nodes costs, such as \"14us\"",
          "l.toml:1:2: nvls.speeds_network: missing; expected speeds of a channel in GB/s, falling, "
          "such as [40, 30, 20]",
          "l.toml:2:1: nvls.protocol: \"simpel\" is none of the [[protocols]]",
          "l.toml:3:1: nvls.chunk: no bytes; expected more",
          "l.toml:4:1: nvls.channels: 0 is out of range; expected at least 1",
          "l.toml:5:1: nvls.share: is out of range; expected 0 < share <= 1",
          "l.toml:6:1: nvls.believed: is out of range; expected 0 < believed <= 1",
          "l.toml:7:1: nvls.speeds_inside: expected speeds above 0 in falling order, at least one",
          "l.toml:9:10: nvls.tree.two: a rate of 0; expected more, or no key for unlimited"));
}

constexpr const char* kGpu =
    "fp32_peak = \"15TFLOPS\"\n"
    "half_peak = \"100TFLOPS\"\n"
    "memory = \"16GiB\"\n"
    "memory_peak = \"900GBps\"\n"
    "memory_achieved = \"700GBps\"\n";

TEST(BadGpu, AnchorsAndFigures) {
  const Scratch scratch;
  const auto path =
      scratch.write("g.toml", with(kGpu, "memory_peak = \"900GBps\"", "memory_peak = \"0GBps\"\nstep_jitter = 1.5") +
                                  "[[anchor]]\nframework = \"f\"\nprecision = \"fp16\"\nbatch = 0\nlayout = "
                                  "\"hwcn\"\nimages_per_second = { value = 100 }\n");
  EXPECT_THAT(scratch.faults([&] { read_gpu(path.string(), {}); }),
              ElementsAre("g.toml:4:1: memory_peak: is 0; expected more, such as \"900GBps\"",
                          "g.toml:5:1: step_jitter: is out of range; expected a relative sigma, 0 <= sigma < 1",
                          "g.toml:7:1: anchor[0].model: missing; expected a model such as \"resnet50\"",
                          "g.toml:10:1: anchor[0].batch: expected at least 1 image",
                          "g.toml:11:1: anchor[0].layout: expected nhwc or nchw"));
}

TEST(BadGpu, OneProductInBothLayouts) {
  const Scratch scratch;
  const std::string anchor =
      "[[anchor]]\nframework = \"mxnet-21.09\"\nmodel = \"resnet50\"\nprecision = \"fp16\"\nbatch = "
      "64\nimages_per_second = { "
      "value = 100 }\n";
  const auto path = scratch.write("g.toml", std::string(kGpu) + anchor + anchor + "layout = \"nchw\"\n");
  EXPECT_THAT(
      scratch.faults([&] { read_gpu(path.string(), {}); }),
      ElementsAre(
          "g.toml:18:1: anchor[1].layout: mxnet is in the other layout too; expected a name of its own, such as "
          "\"mxnet-nchw-YY.MM\""));
}

TEST(BadGpu, ATableWithoutAColumnIsToldOnceWithTheLineOfItsHeader) {
  const Scratch scratch;
  scratch.write("measured/x.csv",
                "# of another tool\n"
                "precision,n,c,h,w,k,r,s,stride,pad_w,forward,backward_data_ms,backward_weight_ms\n"
                "fp32,8,64,56,56,64,1,1,1,0,0.1,0.2,0.3\n"
                "fp32,8,64,56,56,64,1,1,1,0,0.1,0.2,0.3\n");
  const auto path = scratch.write("gpus/g.toml", std::string(kGpu) + "convolutions = \"../measured/x.csv\"\n");
  // pad_w begins behind "precision," and seven names of one letter with their commas and "stride,": 10 + 14 + 7 = 31.
  // "forward" is three letters from forward_ms, which is near for a word of ten.
  EXPECT_THAT(scratch.faults([&] { read_gpu(path.string(), {}); }),
              ElementsAre("measured/x.csv:2:32: pad_h: no such column; expected one of this name, found \"pad_w\"",
                          "measured/x.csv:2:38: forward_ms: no such column; expected one of this name, found "
                          "\"forward\""));
}

// 7.0 is how the vendor writes it, 7 how somebody may shorten that; the file wants 70.
TEST(BadGpu, ComputeCapabilityIsTenTimesMajorPlusMinor) {
  const Scratch scratch;
  const auto faults_of = [&](const std::string& capability) {
    const auto path = scratch.write("gpus/g.toml", std::string(kGpu) + "compute_capability = " + capability + "\n");
    return scratch.faults([&] { read_gpu(path.string(), {}); });
  };
  EXPECT_THAT(faults_of("7"),
              ElementsAre("gpus/g.toml:6:1: compute_capability: 7; expected 10 x major + minor, such as "
                          "70 for 7.0, or 0 for a processor"));
  EXPECT_THAT(faults_of("7.0"), ElementsAre("gpus/g.toml:6:1: compute_capability: expected a whole number, found 7.0"));
}

TEST(BadGpu, FaultsOfItsConvolutionTableComeWithItsOwn) {
  const Scratch scratch;
  scratch.write("measured/x.csv",
                "precision,n,c,h,w,k,r,s,stride,pad_h,pad_w,forward_ms,backward_data_ms,backward_weight_ms\n"
                "fp32,8,64,56,56,64,1,1,1,0,0,0.1,0.2,0.3\n"
                "fp33,8,64,56,56,64,1,1,1,0,0,0.1,0.2,0.3\n"
                "fp32,8,64,56,56,64,1,1,0,0,0,0.1,0.2,0.3\n"
                "fp32,8,64,56,56,64,1,1,1,0,0,fast,0.2,0.3\n");
  const auto path =
      scratch.write("gpus/g.toml", with(kGpu, "\"16GiB\"", "16") + "convolutions = \"../measured/x.csv\"\n");
  EXPECT_THAT(
      scratch.faults([&] { read_gpu(path.string(), {}); }),
      ElementsAre(
          "gpus/g.toml:3:1: memory: \"16\" is not a size (the unit is missing); write \"25MiB\" or \"4096B\"",
          "measured/x.csv:3:1: precision: \"fp33\" is not known (did you mean \"fp32\"?); expected one of fp32, "
          "tf32, fp16, bf16",
          "measured/x.csv:4:24: stride: 0 is out of range; expected 1 or more",
          "measured/x.csv:5:30: forward_ms: expected a number, found \"fast\""));
  const auto lost = scratch.write("gpus/h.toml", std::string(kGpu) + "convolutions = \"../measured/y.csv\"\n");
  EXPECT_THAT(scratch.faults([&] { read_gpu(lost.string(), {}); }),
              ElementsAre("gpus/h.toml:6:1: convolutions: no such file \"../measured/y.csv\" (relative to this one)"));
}

// 1e300 ms in picoseconds is more than 64 bits hold, and became a time below zero.
TEST(BadGpu, TimesOfTablesThatNoClockHolds) {
  const Scratch scratch;
  scratch.write("x.csv",
                "precision,n,c,h,w,k,r,s,stride,pad_h,pad_w,forward_ms,backward_data_ms,backward_weight_ms\n"
                "fp32,8,64,56,56,64,1,1,1,0,0,1e300,0.2,0.3\n");
  scratch.write("y.csv",
                "model,image_size,precision,batch,operation,forward_us,backward_us\n"
                "resnet50,224,fp32,8,conv1,1,1e300\n");
  const auto path = scratch.write("g.toml", std::string(kGpu) + "convolutions = \"x.csv\"\nprofile = \"y.csv\"\n");
  EXPECT_THAT(scratch.faults([&] { read_gpu(path.string(), {}); }),
              ElementsAre("x.csv:2:30: forward_ms: 1e+300 ms is out of range; expected 0 to 1000000000",
                          "y.csv:2:29: backward_us: 1e+300 us is out of range; expected 0 to 1000000000000"));
}

}  // namespace
}  // namespace lockstep
