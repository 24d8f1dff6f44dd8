#include "experiments/check/laid_over.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/inputs/read_inputs.hpp"

namespace lockstep::check {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> said(const std::vector<std::string>& sets) {
  const std::filesystem::path root = LOCKSTEP_SOURCE_DIR;
  return laid_over_warnings(
      read_inputs(root / "experiments" / "fujitsu_abci_2048" / "run.toml", sets, DataPaths{root / "data"}));
}

TEST(LaidOver, ValuesThatNoMachineHasAreNamed) {
  EXPECT_THAT(said({}), IsEmpty());
  EXPECT_THAT(said({"gpu_file.memory_achieved=700GBps", "cluster_file.nic.rate=6GBps"}), IsEmpty());
  EXPECT_THAT(said({"gpu_file.memory_achieved=2000TBps"}), ElementsAre(StartsWith("gpu_file.memory_achieved: ")));
  EXPECT_THAT(said({"library_file.launch=2s"}), ElementsAre(StartsWith("library_file.launch: ")));
  EXPECT_THAT(said({"cluster_file.network.tiers.0.rate=2TBps"}),
              testing::Contains(StartsWith("cluster_file.network.tiers[0].rate: ")));
}

}  // namespace
}  // namespace lockstep::check
