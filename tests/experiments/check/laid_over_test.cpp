#include "experiments/check/laid_over.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/inputs/read_inputs.hpp"

namespace lockstep::check {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> said(const std::vector<std::string>& sets) {
  const std::filesystem::path root = LOCKSTEP_SOURCE_DIR;
  const DataPaths paths{root / "data"};
  return laid_over_warnings(read_inputs(root / "experiments" / "fujitsu_abci_2048" / "run.toml", sets, paths), paths);
}

TEST(LaidOver, ValuesThatNoMachineHasAreNamed) {
  EXPECT_THAT(said({}), IsEmpty());
  EXPECT_THAT(said({"gpu_file.memory_achieved=700GBps", "cluster_file.nic.rate=6GBps"}), IsEmpty());
  EXPECT_THAT(said({"gpu_file.memory_achieved=2000TBps"}), ElementsAre(StartsWith("gpu_file.memory_achieved: ")));
  EXPECT_THAT(said({"library_file.launch=2s"}), ElementsAre(StartsWith("library_file.launch: ")));
  EXPECT_THAT(said({"cluster_file.nic.rate=25TBps"}), Contains(StartsWith("cluster_file.node.nic.rate: ")));
}

// ABCI's taper is doubted and accepted in its file; another value of that tier does not bring it up.
TEST(LaidOver, WhatTheFileItselfSaysIsLeftToCheck) {
  EXPECT_THAT(said({"cluster_file.network.tiers.0.hop=120ns"}), IsEmpty());
}

// A peak below what is achieved shows at memory_achieved, which nobody laid over.
TEST(LaidOver, ADoubtMayShowAtAnotherKey) {
  EXPECT_THAT(said({"gpu_file.memory_peak=400GBps"}), Contains(StartsWith("gpu_file.memory_achieved: ")));
}

}  // namespace
}  // namespace lockstep::check
