// Every file of data/: no faults, nothing implausible that its file does not explain, and it simulates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

#include "experiments/check/check_file.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "tests/experiments/check/subjects.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep::check {
namespace {

TEST(Data, NoFaultsAndEveryImplausibilityIsExplainedInItsFile) {
  const auto files = data_files(kData);
  EXPECT_GE(files.size(), 38u);
  for (const auto& file : files) {
    const FileReport report = check_file(file, kData);
    for (const Fault& fault : report.faults) ADD_FAILURE() << fault.text();
    for (const Finding& finding : report.findings)
      EXPECT_FALSE(finding.reason.empty()) << finding.rule << " " << finding.fault.text();
    EXPECT_EQ(name_of(report.kind) + (report.kind == FileKind::Library ? "" : "s"),
              report.kind == FileKind::Library ? "library" : file.parent_path().filename().string());
  }
}

// The run files of fashion_mnist and imagenet_resnet50 once failed the check: nothing had looked at them.
TEST(Data, RunFilesOfExperimentsToo) {
  int files = 0;
  for (const auto& folder :
       std::filesystem::directory_iterator(std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "experiments")) {
    const auto file = folder.path() / "run.toml";
    if (!std::filesystem::exists(file)) continue;
    ++files;
    const FileReport report = check_file(file, kData);
    for (const Fault& fault : report.faults) ADD_FAILURE() << fault.text();
    for (const Finding& finding : report.findings)
      EXPECT_FALSE(finding.reason.empty()) << finding.rule << " " << finding.fault.text();
  }
  EXPECT_GE(files, 7);
}

Inputs inputs_of(const std::string& cluster, const std::string& gpu, int gpus, const char* precision = "fp16") {
  const Scratch scratch;
  const auto run =
      scratch.write("run.toml", fmt::format("[training]\nglobal_batch = {}\nprecision = \"{}\"\n[allreduce]\nlibrary = "
                                            "\"nccl-2.8\"\nprotocol = \"simple\"\n"
                                            "[cluster]\nfile = \"{}\"\ngpu = \"{}\"\ngpus = {}\n[simulation]\nnoise = "
                                            "false\nsampled_steps = 1\n[output]\ntrace = false\n",
                                            32 * gpus, precision, cluster, gpu, gpus));
  return read_inputs(run, {}, kData);
}

/// More GPUs take as long as one or longer, and do not stand still: at least 2 % of one GPU's rate each.
void expect_simulates(const std::string& cluster, int gpus) {
  const char* precision = cluster == "cpu-host" ? "fp32" : "fp16";
  const Time alone = predict_step(inputs_of(cluster, "", 1, precision)).step;
  const Time together = predict_step(inputs_of(cluster, "", gpus, precision)).step;
  EXPECT_GT(alone, Time::zero()) << cluster;
  EXPECT_GE(together, alone) << cluster << " " << gpus;
  EXPECT_LT(together / alone, 50) << cluster << " " << gpus;
}

TEST(DataSlow, EveryClusterSimulatesANodeAndTwo) {
  for (const std::string& name : stems(kData, "clusters")) {
    const ClusterSpec c = read_cluster(name, kData);
    expect_simulates(name, c.node.gpus);
    if (c.nodes > 1) expect_simulates(name, 2 * c.node.gpus);
  }
}

TEST(DataSlow, EveryClusterSimulatesAsAWhole) {
  for (const std::string& name : stems(kData, "clusters"))
    expect_simulates(name, read_cluster(name, kData).total_gpus());
}

// In every precision: anchored, or with the factor of another, or bare. One ResNet-50 image is 24.3 GFLOP, so the peak bounds the rate.
TEST(Data, EveryGpuSimulates) {
  for (const std::string& name : stems(kData, "gpus")) {
    const double peak = read_gpu(name, kData).half_peak.value.per_second();
    for (const char* precision : {"fp32", "tf32", "fp16", "bf16"}) {
      const double rate = predict_step(inputs_of("flat", name, 1, precision)).images_per_second;
      EXPECT_GT(rate, 0.1) << name << " " << precision;
      EXPECT_LT(rate * 24.3e9, peak) << name << " " << precision;
    }
  }
}

}  // namespace
}  // namespace lockstep::check
