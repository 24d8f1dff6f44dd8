// Running points: the same rows whatever the threads and processes, failures apart, stopping and going on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "experiments/sweep/runner.hpp"
#include "tests/experiments/config_io/files.hpp"
#include "tests/experiments/sweep/sweeps.hpp"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

std::vector<std::size_t> all(const SweepPlan& plan) {
  std::vector<std::size_t> todo(plan.points.size());
  std::iota(todo.begin(), todo.end(), std::size_t{0});
  return todo;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Cells {
  std::vector<std::string> columns;
  const std::map<std::size_t, SweepRow>& rows;
  double operator()(std::size_t point, const std::string& column) const {
    const auto c = std::find(columns.begin(), columns.end(), column) - columns.begin();
    return std::stod(rows.at(point)[static_cast<std::size_t>(c)]);
  }
};

/// The file of a whole sweep with so many threads.
std::string file_with(const SweepRequest& request, std::size_t threads, const std::filesystem::path& path) {
  const SweepPlan plan = plan_sweep(request, {});
  SweepJob job;
  job.threads = threads;
  job.efficiency = true;
  ResultsFile file(path, sweep_columns(plan.axes, true), {});
  job.finished = [&](const SweepRow& row) { file.append(row); };
  EXPECT_TRUE(run_sweep(request, plan, all(plan), job));
  file.finish();
  return read(path);
}

SweepRequest weak_scaling(const std::string& epochs = "9") {
  SweepRequest request = ladder({"cluster.gpus=1..8,100000"});  // the last: more than the cluster has
  request.per_gpu_batch = "32,64";
  request.sets.push_back("training.epochs=" + epochs);
  return request;
}

TEST(SweepRunner, EqualBytesForAnyNumberOfThreads) {
  const Scratch scratch;
  const std::string one = file_with(weak_scaling(), 1, scratch.directory() / "1.csv");
  EXPECT_EQ(one, file_with(weak_scaling(), 4, scratch.directory() / "4.csv"));
  EXPECT_THAT(one, HasSubstr("\n8,100000,32,"));
}

TEST(SweepRunner, FiguresAreThoseOfTheRun) {
  const SweepRequest request = weak_scaling();
  const SweepPlan plan = plan_sweep(request, {});
  const Scratch scratch;
  SweepJob job;
  job.efficiency = true;
  ResultsFile file(scratch.directory() / "r.csv", sweep_columns(plan.axes, true), {});
  job.finished = [&](const SweepRow& row) { file.append(row); };
  ASSERT_TRUE(run_sweep(request, plan, all(plan), job));
  const Cells cell{sweep_columns(plan.axes, true), file.rows()};
  const RunPrediction direct = predict_run(read_point(request, plan.axes, {"8", "64"}, *plan.files), {});
  const std::size_t p = 7;  // (gpus, images): (1, 32) (1, 64) (2, 32) ... (8, 64)
  EXPECT_NEAR(cell(p, "step_ms"), direct.step.step.milliseconds(), 5e-5);
  EXPECT_EQ(cell(p, "gpus"), 8);
  EXPECT_EQ(cell(p, "global_batch"), 8 * 64);
  EXPECT_NEAR(cell(p, "images_per_s"), 512 / (cell(p, "step_ms") / 1e3),
              0.2);  // step_ms has four places: 512/0.06 x 5e-8/0.06
  EXPECT_NEAR(cell(p, "gpu_hours"), 8 * cell(p, "time_to_train_s") / 3600, 1e-4);
  EXPECT_NEAR(cell(p, "efficiency"), cell(p, "images_per_s") / (8 * cell(1, "images_per_s")), 1e-4);
  EXPECT_EQ(cell(0, "efficiency"), 1);
}

TEST(SweepRunner, ARowSaysWhatTheMachineWouldNotDo) {
  // 4,096 images do not fit a V100 of 16 GB.
  const SweepRequest request = ladder({"training.global_batch=64,4096"});
  const SweepPlan plan = plan_sweep(request, {});
  std::vector<std::string> doubts(2);
  SweepJob job;
  job.finished = [&](const SweepRow& row) { doubts[index_of(row)] = row[row.size() - 3]; };
  ASSERT_TRUE(run_sweep(request, plan, all(plan), job));
  EXPECT_EQ(doubts[0], "");
  EXPECT_THAT(doubts[1], testing::StartsWith("training.global_batch: "));
}

TEST(SweepRunner, AFailedPointIsARowAndTheOthersGoOn) {
  const SweepRequest request = weak_scaling();
  const SweepPlan plan = plan_sweep(request, {});
  std::vector<SweepRow> bad, good;
  SweepJob job;
  job.finished = [&](const SweepRow& row) { (failed(row) ? bad : good).push_back(row); };
  EXPECT_TRUE(run_sweep(request, plan, all(plan), job));
  EXPECT_THAT(good, SizeIs(8));
  ASSERT_THAT(bad, SizeIs(2));
  EXPECT_THAT(bad[0].back(), StartsWith("--over cluster.gpus=100000: cluster.gpus: 100000 GPUs, but cluster"));
  EXPECT_THAT(good, Each(SizeIs(bad[0].size())));
}

TEST(SweepRunner, ProcessesShareThePointsAndAllSeeAllRows) {
  const SweepRequest request = weak_scaling();
  const SweepPlan plan = plan_sweep(request, {});
  constexpr int kSize = 3;
  std::vector<std::string> letters(kSize);
  std::barrier meet(kSize);
  std::vector<std::map<std::size_t, SweepRow>> seen(kSize);
  std::vector<std::thread> processes;
  for (int r = 0; r < kSize; ++r) {
    processes.emplace_back([&, r] {
      SweepJob job;
      job.rank = r;
      job.size = kSize;
      job.exchange = [&, r](const std::string& mine) {
        letters[static_cast<std::size_t>(r)] = mine;
        meet.arrive_and_wait();
        auto copy = letters;
        meet.arrive_and_wait();
        return copy;
      };
      job.finished = [&, r](const SweepRow& row) {
        EXPECT_TRUE(seen[static_cast<std::size_t>(r)].emplace(index_of(row), row).second) << "twice";
      };
      EXPECT_TRUE(run_sweep(request, plan, all(plan), job));
    });
  }
  for (auto& p : processes) p.join();
  EXPECT_THAT(seen[0], SizeIs(10));
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
}

TEST(SweepRunner, StoppedHalfWayAndGoneOnWithGivesTheSameFile) {
  const Scratch scratch;
  const SweepRequest request = weak_scaling("30");  // long enough to be stopped in
  const std::string whole = file_with(request, 2, scratch.directory() / "whole.csv");
  const SweepPlan plan = plan_sweep(request, {});
  const auto path = scratch.directory() / "part.csv";
  {
    ResultsFile file(path, sweep_columns(plan.axes, true), {});
    SweepJob job;
    job.efficiency = true;
    job.finished = [&](const SweepRow& row) { file.append(row); };
    job.progress = [&](double fraction, std::size_t) {
      EXPECT_LE(fraction, 1 + 1e-12);
      return fraction == 0;
    };
    job.threads = 1;
    EXPECT_FALSE(run_sweep(request, plan, all(plan), job));
  }
  std::ofstream(path, std::ios::app) << "7,8,64,8,51";  // killed while it wrote
  const auto kept = finished_rows(path, plan, true);
  for (const auto& row : kept) EXPECT_FALSE(failed(row));
  std::vector<std::size_t> todo;
  for (std::size_t i : all(plan)) {
    if (std::none_of(kept.begin(), kept.end(), [&](const auto& row) { return index_of(row) == i; })) todo.push_back(i);
  }
  ResultsFile file(path, sweep_columns(plan.axes, true), kept);
  SweepJob job;
  job.efficiency = true;
  job.finished = [&](const SweepRow& row) { file.append(row); };
  EXPECT_TRUE(run_sweep(request, plan, todo, job));
  file.finish();
  EXPECT_EQ(read(path), whole);
}

TEST(SweepResults, OnlyTheSameSweepIsGoneOnWith) {
  const Scratch scratch;
  const auto path = scratch.directory() / "r.csv";
  const SweepRequest request = weak_scaling();
  file_with(request, 2, path);
  const auto refusal = [&](const SweepRequest& other, bool efficiency) {
    const auto lines = scratch.faults([&] { finished_rows(path, plan_sweep(other, {}), efficiency); });
    return lines.empty() ? "" : lines.front() + " ... " + lines.back();
  };
  EXPECT_EQ(refusal(request, true), "");
  EXPECT_THAT(refusal(request, false), HasSubstr("is of another sweep: it has the columns"));
  SweepRequest other = request;
  other.sets.push_back("training.seed=7");
  EXPECT_THAT(refusal(other, true), AllOf(HasSubstr("r.csv: point 0: was made from other inputs"),
                                          HasSubstr("3 more points differ"), HasSubstr("--force")));
  other = request;
  other.per_gpu_batch = "32,48";
  EXPECT_THAT(refusal(other, true),
              HasSubstr("point 1: has other values; here it is cluster.gpus=1, per_gpu_batch=48"));
  other = request;
  other.overs = {"cluster.gpus=1..2"};
  EXPECT_THAT(refusal(other, true), HasSubstr("expected each of 0 to 3 at most once"));
  std::filesystem::remove(path);
  EXPECT_THAT(refusal(request, true), HasSubstr("r.csv: no such file"));
}

TEST(SweepResults, CellsSurviveTheFileAndBecomeJson) {
  const std::vector<Axis> axes{{"simulation.slow_ranks", {"x"}, ""}, {"training.precision", {"y"}, ""}};
  SweepPoint point;
  point.values = {"[{rank=0, factor=1.3}]", "\"fp16\""};
  point.digest = "0123456789012345";
  const auto columns = sweep_columns(axes, true);
  const SweepRow row = failed_row(point, "first, \"quoted\"\nsecond", true);
  ASSERT_EQ(row.size(), columns.size());
  EXPECT_THAT(parse_rows(columns, csv_line(columns) + csv_line(row), "t"), ElementsAre(row));
  const auto j = nlohmann::json::parse(json_line(columns, row));
  EXPECT_EQ(j["index"], 0);
  EXPECT_EQ(j["simulation.slow_ranks"], "[{rank=0, factor=1.3}]");
  EXPECT_EQ(j["training.precision"], "fp16");
  EXPECT_EQ(j["inputs_digest"], "0123456789012345");
  EXPECT_EQ(j["error"], "first, \"quoted\"; second");
  EXPECT_TRUE(j["step_ms"].is_null());
}

}  // namespace
}  // namespace lockstep
