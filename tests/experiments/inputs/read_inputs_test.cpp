// A run file and the files that it names: all their faults in one go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/inputs/read_inputs.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const DataPaths kData{std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "data"};

std::vector<std::string> input_faults(const Scratch& scratch, const std::string& run,
                                      const std::vector<std::string>& sets = {}) {
  const auto path = scratch.write("run.toml", run);
  return scratch.faults([&] { read_inputs(path, sets, kData); });
}

TEST(ReadInputs, FaultsOfTheRunFileAndOfTheFilesThatItNamesInOneGo) {
  const Scratch scratch;
  const auto faults =
      input_faults(scratch,
                   "[model]\nname = \"resnet51\"\n[training]\nepochs = 0\n"
                   "[allreduce]\nlibrary = \"nccl_2_4x\"\n[cluster]\nfile = \"abcx\"\n[data]\nkind = 3\n");
  EXPECT_THAT(faults,
              ElementsAre(StartsWith("run.toml:2:1: model.name: "), StartsWith("run.toml:4:1: training.epochs: "),
                          StartsWith("run.toml:10:1: data.kind: "),
                          AllOf(StartsWith("run.toml:8:1: cluster.file: "), HasSubstr("did you mean \"abci\"?")),
                          StartsWith("run.toml:6:1: allreduce.library: ")));
}

TEST(ReadInputs, FaultsInsideANamedFileKeepTheirPlaces) {
  const Scratch scratch;
  const auto cluster = scratch.write("c.toml", "name = 5\n");
  const auto faults = input_faults(scratch, "[training]\nepochs = 0\n[cluster]\nfile = \"" + cluster.string() + "\"\n");
  ASSERT_GE(faults.size(), 2u);
  EXPECT_THAT(faults[0], StartsWith("run.toml:2:1: training.epochs"));
  EXPECT_THAT(faults, testing::Contains(StartsWith("c.toml:1:1: name")));
}

TEST(ReadInputs, FaultsThatOnlySeveralFilesShow) {
  const Scratch scratch;
  EXPECT_THAT(input_faults(scratch, "[training]\nglobal_batch = 100000\n[cluster]\nfile = \"dgx2\"\n",
                           {"cluster.gpus=1000", "training.log_every=0"}),
              ElementsAre(AllOf(StartsWith("--set cluster.gpus=1000: cluster.gpus: 1000 GPUs")),
                          StartsWith("--set training.log_every=0: training.log_every: ")));
}

TEST(ReadInputs, NothingIsLeftOfTheLibrarysChoice) {
  const Scratch scratch;
  const std::string run =
      "[training]\nglobal_batch = 256\n[allreduce]\nalgorithm = \"library\"\nlibrary = \"nccl-2.8\"\namong = "
      "[\"nvls\"]\n"
      "[cluster]\nfile = \"dgx-a100\"\n";
  EXPECT_THAT(input_faults(scratch, run, {"cluster.gpus=8"}),
              ElementsAre("run.toml:6:1: allreduce.among: nothing is left to choose: nvls: library nccl-2.8 has no "
                          "[nvls]; expected one such as nccl-2.27"));
  EXPECT_THAT(input_faults(scratch, run, {"cluster.gpus=1"}), testing::IsEmpty());
  EXPECT_THAT(input_faults(scratch, run, {"cluster.gpus=8", "allreduce.among=[\"tree\", \"nvls\"]"}),
              testing::IsEmpty());
  EXPECT_THAT(input_faults(scratch, run, {"cluster.gpus=8", "allreduce.library=gloo-tcp"}),
              ElementsAre(StartsWith("run.toml:4:1: allreduce.algorithm: library gloo-tcp has no rule of choice")));
}

TEST(ReadInputs, NothingIsLeftSomewhereOnTheCurve) {
  const Scratch scratch;
  const std::string run =
      "[training]\nglobal_batch = 1024\n[allreduce]\nalgorithm = \"library\"\nlibrary = \"nccl-2.4\"\namong = "
      "[\"tree\"]\n[cluster]\nfile = \"p3.16xlarge\"\ngpus = 16\n[output]\n";
  EXPECT_THAT(input_faults(scratch, run + "curve = [1, 16]\n"), testing::IsEmpty());
  EXPECT_THAT(input_faults(scratch, run + "curve = [1, 8, 16]\n"),
              ElementsAre(StartsWith("run.toml:11:1: output.curve: 8 GPUs: nothing is left to choose: tree/")));
}

TEST(ReadInputs, AnUnreadableNameIsOneFault) {
  const Scratch scratch;
  EXPECT_THAT(input_faults(scratch, "[cluster]\nfile = 7\n"), ElementsAre(StartsWith("run.toml:2:1: cluster.file: ")));
}

}  // namespace
}  // namespace lockstep
