// Which points a sweep has, and what is said about wrong ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "experiments/sweep/plan.hpp"
#include "tests/experiments/config_io/files.hpp"
#include "tests/experiments/sweep/sweeps.hpp"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;
using testing::UnorderedElementsAre;

std::vector<std::string> points(const SweepRequest& request) {
  const SweepPlan plan = plan_sweep(request, {});
  std::vector<std::string> out;
  for (const auto& p : plan.points) {
    EXPECT_EQ(p.index, out.size());
    out.push_back(describe(plan.axes, p) + (p.faults.empty() ? "" : " !"));
  }
  return out;
}

std::vector<std::string> faults(const SweepRequest& request) {
  const Scratch scratch;
  return scratch.faults([&] { plan_sweep(request, {}); });
}

TEST(SweepPlan, AllCombinationsTheLastFastest) {
  EXPECT_THAT(points(ladder({"cluster.gpus=4,8", "training.precision=fp16,fp32"})),
              ElementsAre("cluster.gpus=4, training.precision=fp16", "cluster.gpus=4, training.precision=fp32",
                          "cluster.gpus=8, training.precision=fp16", "cluster.gpus=8, training.precision=fp32"));
}

TEST(SweepPlan, KeysOfTheFilesThatTheRunNames) {
  const SweepPlan plan = plan_sweep(
      ladder({"cluster_file.node.nvlink.per_link=20GBps,25GBps", "gpu_file.memory_achieved=700GBps,800GBps"}), {});
  ASSERT_THAT(plan.points, SizeIs(4));
  std::set<std::string> digests;
  for (const auto& p : plan.points) {
    EXPECT_TRUE(p.faults.empty()) << p.faults.front().text();
    digests.insert(p.digest);
  }
  EXPECT_THAT(digests, SizeIs(4));  // results of another value are never taken for this one's
  EXPECT_THAT(
      faults(ladder({"cluster_file.node.nvlink.per_lin=20GBps"})),
      ElementsAre("--over cluster_file.node.nvlink.per_lin=20GBps: cluster_file.node.nvlink.per_lin: unknown key; did "
                  "you mean \"per_link\"?"));
  EXPECT_THAT(faults(ladder({"library_file.launch=5"})),
              ElementsAre(StartsWith("--over library_file.launch=5: library_file.launch: ")));
}

TEST(SweepPlan, ZipWalksTogetherAndOneValueGoesWithAll) {
  SweepRequest request = ladder({"cluster.gpus=1..4", "training.global_batch=192,384,768", "training.epochs=5"});
  request.zip = true;
  EXPECT_THAT(points(request), ElementsAre("cluster.gpus=1, training.global_batch=192, training.epochs=5",
                                           "cluster.gpus=2, training.global_batch=384, training.epochs=5",
                                           "cluster.gpus=4, training.global_batch=768, training.epochs=5"));
}

TEST(SweepPlan, TheBatchFollowsTheGpus) {
  SweepRequest request = ladder({"cluster.gpus=1..8"});
  request.per_gpu_batch = "32,48";
  const SweepPlan plan = plan_sweep(request, {});
  std::vector<std::int64_t> batches;
  for (const auto& p : plan.points) batches.push_back(p.global_batch);
  EXPECT_THAT(batches, ElementsAre(32, 48, 64, 96, 128, 192, 256, 384));
  // Where the GPUs stand in the run file (8), they count too.
  request = ladder({"training.epochs=5,6"});
  request.per_gpu_batch = "10";
  EXPECT_EQ(plan_sweep(request, {}).points[1].global_batch, 80);
}

TEST(SweepPlan, AFaultOfOnePointIsItsOwnAndInTheWordsOfTheCommandLine) {
  SweepRequest request = ladder({"cluster.gpus=8,100000"});
  request.per_gpu_batch = "192";
  const SweepPlan plan = plan_sweep(request, {});
  EXPECT_TRUE(plan.points[0].faults.empty());
  ASSERT_THAT(plan.points[1].faults, SizeIs(1));
  EXPECT_THAT(plan.points[1].faults[0].text(),
              StartsWith("--over cluster.gpus=100000: cluster.gpus: 100000 GPUs, but cluster"));
}

TEST(SweepPlan, WrongAxesAreToldAllAtOnceBeforeAnyPoint) {
  SweepRequest request = ladder({"cluster.gpuz=1..8", "training.epochs=9:1:1", "training.seed=1,2", "training.seed=3",
                                 "output.directory=a,b", "training.global_batch=8,16", "nothing", "modle=a"});
  request.per_gpu_batch = "8,many";
  request.sets.push_back("training.seed=5");
  request.sets.push_back("training.epoch=5");
  EXPECT_THAT(faults(request),
              UnorderedElementsAre(
                  AllOf(StartsWith("--over cluster.gpuz=1..8: "), HasSubstr("did you mean \"cluster.gpus\"?")),
                  HasSubstr("1 is below 9"),
                  AllOf(StartsWith("--over training.seed=1,2: "), HasSubstr("--set training.seed=5")),
                  AllOf(StartsWith("--over training.seed=3: "), HasSubstr("swept twice")),
                  AllOf(StartsWith("--over training.seed=3: "), HasSubstr("--set training.seed=5")),
                  HasSubstr("changes no prediction"), HasSubstr("training.global_batch cannot be swept too"),
                  StartsWith("--over nothing: expected path=VALUES"), HasSubstr("unknown key; expected section.key"),
                  HasSubstr("\"many\" is not a number of images"),
                  AllOf(StartsWith("--set training.epoch=5: "), HasSubstr("did you mean \"epochs\"?"))));
}

TEST(SweepPlan, AFaultOfAllPointsIsTheSweeps) {
  SweepRequest request = ladder({"cluster.gpus=4,8"});
  request.sets = {"training.epochs=0", "cluster.file=dgx1-v10"};
  EXPECT_THAT(faults(request), UnorderedElementsAre(StartsWith("--set training.epochs=0: training.epochs: "),
                                                    HasSubstr("did you mean \"dgx1-v100\"?")));
  request = ladder({"cluster.gpus=4,8"});
  request.run_file = "nowhere.toml";
  EXPECT_THAT(faults(request), ElementsAre("nowhere.toml: no such file"));
}

TEST(SweepPlan, NothingToSweepUnequalLengthsTooMany) {
  EXPECT_THAT(faults(ladder({})), ElementsAre(HasSubstr("nothing to sweep")));
  SweepRequest zip = ladder({"cluster.gpus=1..8", "training.seed=1,2,3"});
  zip.zip = true;
  EXPECT_THAT(faults(zip), ElementsAre(HasSubstr("3 values, but another axis has 4")));
  EXPECT_THAT(faults(ladder({"training.seed=1:2000:1", "training.epochs=1:2000:1"})),
              ElementsAre(HasSubstr("more than 1000000 points")));
}

TEST(SweepPlan, TheDigestIsOfEverythingThatAPointReads) {
  const Scratch scratch;
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::filesystem::create_directories((scratch.directory() / to).parent_path());
    std::filesystem::copy(std::filesystem::path(LOCKSTEP_SOURCE_DIR) / from, scratch.directory() / to,
                          std::filesystem::copy_options::recursive);
  };
  copy("data", "data");
  copy("experiments/dgx_ladders/run.toml", "run.toml");
  SweepRequest request = ladder({"cluster.gpus=4,8"});
  request.run_file = scratch.directory() / "run.toml";
  request.paths = {scratch.directory() / "data"};
  const auto digests = [&] {
    const SweepPlan plan = plan_sweep(request, {});
    return plan.points[0].digest + plan.points[1].digest;
  };
  const auto append = [&](const std::string& file) {
    const auto path = scratch.directory() / file;
    EXPECT_TRUE(std::filesystem::exists(path)) << path;
    std::ofstream(path, std::ios::app) << "# more\n";
  };
  std::set<std::string> seen{digests()};
  append("run.toml");  // a comment changes nothing that is effective
  EXPECT_EQ(digests(), *seen.begin());
  request.sets.push_back("output.published=\"\"");
  EXPECT_EQ(digests(), *seen.begin());
  for (const char* file :
       {"data/clusters/dgx1-v100.toml", "data/libraries/nccl-2.8.toml", "data/published/accuracy.csv"}) {
    append(file);
    EXPECT_TRUE(seen.insert(digests()).second) << file;
  }
  const SweepPlan plan = plan_sweep(request, {});
  const Inputs inputs = read_point(request, plan.axes, {"4"}, *plan.files);
  append("data/gpus/" + inputs.cluster.node.gpu + ".toml");
  EXPECT_TRUE(seen.insert(digests()).second);
  for (const auto& entry : std::filesystem::directory_iterator(scratch.directory() / "data" / "measured"))
    if (entry.path().extension() == ".csv") std::ofstream(entry.path(), std::ios::app) << "# more\n";
  EXPECT_TRUE(seen.insert(digests()).second) << "the convolution table of the GPU";
  request.sets.push_back("training.seed=43");
  EXPECT_TRUE(seen.insert(digests()).second);
}

}  // namespace
}  // namespace lockstep
