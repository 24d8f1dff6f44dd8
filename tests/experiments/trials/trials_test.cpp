// Trials: what a file may say, which rate wins, rows that do not depend on threads, and going on after an end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "experiments/trials/trial_runner.hpp"
#include "experiments/trials/trial_table.hpp"
#include "tests/experiments/config_io/files.hpp"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::string kRun = R"(
[model]
name = "resnet8_w1"
image_size = 8
classes = 4
[training]
epochs = 1
precision = "fp32"
evaluate_every = 0
[schedule]
warmup = "none"
decay = "constant"
[cluster]
file = "cpu-host"
[data]
kind = "synthetic"
training_images = 64
validation_images = 32
threads = 0
)";

const std::string kTrials = R"(tuning_seed = 1
seeds = [11, 12]
largest_micro_batch = 16
[[series]]
name = "SGD"
batches = [16, 32]
rates = [0.1, 0.2]
[[series]]
name = "LARS"
set = ["optimizer.kind=lars"]
batches = [32]
rates = [4, 8]
[[series]]
name = "linear"
batches = [32]
rates_of = "SGD"
rule = "linear"
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::vector<std::string> faults_of(const std::string& text) {
  const Scratch scratch;
  const auto path = scratch.write("trials.toml", text);
  return scratch.faults([&] { read_trials(path); });
}

TEST(TrialsSpecTest, ReadsWhatItSays) {
  const Scratch scratch;
  const TrialsSpec spec = read_trials(scratch.write("trials.toml", kTrials));
  EXPECT_THAT(spec.seeds, ElementsAre(11, 12));
  ASSERT_THAT(spec.series, SizeIs(3));
  EXPECT_THAT(spec.series[1].set, ElementsAre("optimizer.kind=lars"));
  EXPECT_THAT(spec.series[0].rates, ElementsAre(0.1, 0.2));
  EXPECT_EQ(spec.series[2].rule, RateRule::Linear);
  EXPECT_FALSE(spec.series[2].tuned());
}

TEST(TrialsSpecTest, FaultsHaveTheirPlaces) {
  EXPECT_THAT(
      faults_of(replaced(kTrials, "batches = [16", "batchs = [16")),
      testing::Contains(HasSubstr("trials.toml:6:1: series[0].batchs: unknown key; did you mean \"batches\"?")));
  EXPECT_THAT(faults_of(replaced(kTrials, "[11, 12]", "[11, 1]")),
              ElementsAre("trials.toml:2:1: seeds: 1 is the tuning seed; expected fresh ones"));
  EXPECT_THAT(
      faults_of(replaced(kTrials, "[4, 8]", "[4, 8, 16]")),
      ElementsAre("trials.toml:12:1: series[1].rates: 3 rates, but \"SGD\" tries 2; expected equal tuning budgets"));
  EXPECT_THAT(faults_of(replaced(kTrials, "[4, 8]", "[4, 16]")),
              ElementsAre("trials.toml:12:1: series[1].rates: a factor of 4 between neighbours, but \"SGD\" has 2; "
                          "expected equal ones"));
  EXPECT_THAT(faults_of(replaced(kTrials, "rates_of = \"SGD\"", "rates_of = \"SDG\"")),
              ElementsAre("trials.toml:16:1: series[2].rates_of: \"SDG\" is no series with rates"));
  EXPECT_THAT(faults_of(replaced(kTrials, "rates_of = \"SGD\"", "rates_of = \"\"")),
              ElementsAre("trials.toml:16:1: series[2].rates_of: is empty; expected the name of a series with rates"));
  EXPECT_THAT(faults_of(replaced(kTrials, "\"linear\"\n", "\"linear\"\n") + "[[series]]\nname = \"SGD\"\n"),
              ElementsAre(HasSubstr("trials.toml:18:1: series[3].batches: missing"),
                          HasSubstr("trials.toml:18:1: series[3].rates: missing"),
                          HasSubstr("trials.toml:19:1: series[3].name: \"SGD\" is given twice")));
  EXPECT_THAT(faults_of(replaced(kTrials, "optimizer.kind=lars", "training.seed=3")),
              ElementsAre("trials.toml:10:1: series[1].set: training.seed is set by each trial itself; leave it out"));
  EXPECT_THAT(faults_of(replaced(kTrials, "[0.1, 0.2]", "[0.2, 0.1]")), testing::Contains(HasSubstr("rising order")));
  EXPECT_THAT(faults_of("seeds = [1"), ElementsAre(HasSubstr("trials.toml:1:")));
}

/// Run file, file of trials, and what they say.
class TrialsTest : public testing::Test {
 protected:
  TrialsTest() {
    request.run_file = scratch.write("run.toml", kRun);
    request.paths = {std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "data"};
    say(kTrials);
  }
  void say(const std::string& text) {
    request.trials_file = scratch.write("trials.toml", text);
    spec = read_trials(request.trials_file);
    trials = all_trials(spec);
    outcomes.clear();
  }
  /// Rows of what is not in `earlier` and of what is, in the order of their index; the last one of each.
  std::vector<SweepRow> run(std::size_t threads) {
    std::vector<SweepRow> rows;
    TrialsJob job;
    job.threads = threads;
    job.finished = [&](const SweepRow& row) {
      std::erase_if(rows, [&](const SweepRow& r) { return index_of(r) == index_of(row); });
      rows.push_back(row);
    };
    EXPECT_TRUE(run_trials(request, spec, trials, earlier, outcomes, job));
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return index_of(a) < index_of(b); });
    return rows;
  }
  static const std::string& cell(const SweepRow& row, const std::string& column) {
    const auto& all = trial_columns();
    return row[static_cast<std::size_t>(std::find(all.begin(), all.end(), column) - all.begin())];
  }
  std::string csv(const std::vector<SweepRow>& rows) const {
    std::string text = csv_line(trial_columns());
    for (const auto& row : rows) text += csv_line(row);
    return text;
  }
  /// As an earlier execution would have left them: its wall times tell them from trials that are done anew.
  static std::vector<SweepRow> long_ago(std::vector<SweepRow> rows) {
    const auto& all = trial_columns();
    const auto wall = std::find(all.begin(), all.end(), "wall_s") - all.begin();
    for (auto& row : rows) row[static_cast<std::size_t>(wall)] = "77.7";
    return rows;
  }
  std::vector<FinishedTrial> finished(const std::filesystem::path& path) {
    Fingerprints prints(request.paths);
    return finished_trials(path, request, spec, prints);
  }

  Scratch scratch;
  TrialsRequest request;
  TrialsSpec spec;
  std::vector<Trial> trials;
  std::vector<FinishedTrial> earlier;
  Outcomes outcomes;
};

TEST_F(TrialsTest, AllTrialsInOrder) {
  // Tuning: SGD 2 batches x 2 rates, LARS 1 x 2; then (2 + 1 + 1) batches x 2 seeds.
  ASSERT_THAT(trials, SizeIs(6 + 8));
  for (std::size_t i = 0; i < trials.size(); ++i) {
    EXPECT_EQ(trials[i].index, i);
    EXPECT_EQ(trials[i].stage == TrialStage::Tune, i < 6);
    EXPECT_EQ(trials[i].seed, i < 6 ? 1u : 11 + i % 2);
  }
}

TEST_F(TrialsTest, LargeBatchesAccumulate) {
  for (const Trial& t : trials) {
    if (t.stage != TrialStage::Tune) continue;
    EXPECT_EQ(read_trial(request, spec, t).run.training.accumulation, t.batch / 16);
  }
}

TEST_F(TrialsTest, TheBestRateWinsAndEdgesAreTold) {
  say(replaced(replaced(kTrials, "[0.1, 0.2]", "[0.1, 0.2, 0.4]"), "[4, 8]", "[4, 8, 16]"));
  const auto with = [&](std::vector<std::optional<double>> top1) {
    Outcomes out;
    for (std::size_t i = 0; i < top1.size(); ++i) {
      out[i].top1_percent = top1[i];
      out[i].diverged = !top1[i];
    }
    return best_rate(spec, trials, out, 0, 16);
  };
  EXPECT_EQ(with({80, 85, 70})->rate, 0.2);
  EXPECT_EQ(with({80, 85, 70})->edge, "");
  EXPECT_EQ(with({80, 85, 85})->rate, 0.2);  // equal: the lower one
  EXPECT_EQ(with({80, 85, 86})->edge, "high");
  EXPECT_EQ(with({90, 85, {}})->edge, "low");
  EXPECT_EQ(with({{}, 85, {}})->rate, 0.2);
  EXPECT_EQ(with({{}, {}, {}})->rate, 0.1);
  EXPECT_EQ(with({{}, {}, {}})->edge, "low");
  EXPECT_FALSE(with({80, 85}));  // not all are known
}

TEST_F(TrialsTest, LinearRuleStartsAtTheSmallestBatch) {
  // SGD: best at 16 is 0.2, at 32 0.1; the rule gives 0.2 x 32 / 16.
  const double top1[] = {50, 60, 70, 65, 80, 81};
  for (std::size_t i = 0; i < 6; ++i) outcomes[i].top1_percent = top1[i];
  choose_rates(spec, trials, outcomes);
  std::vector<double> rates;
  for (std::size_t i = 6; i < trials.size(); i += 2) rates.push_back(trials[i].rate);
  EXPECT_THAT(rates, ElementsAre(0.2, 0.1, 8, 0.4));
}

TEST_F(TrialsTest, RowsDoNotDependOnThreads) {
  const auto without_wall = [](std::vector<SweepRow> rows) {
    const auto& all = trial_columns();
    const auto wall = std::find(all.begin(), all.end(), "wall_s") - all.begin();
    for (auto& row : rows) row[static_cast<std::size_t>(wall)].clear();
    return rows;
  };
  const auto one = without_wall(run(1));
  ASSERT_THAT(one, SizeIs(14));
  for (const auto& row : one) {
    EXPECT_EQ(cell(row, "error"), "");
    EXPECT_EQ(cell(row, "diverged"), "no");
    EXPECT_EQ(cell(row, "steps"), cell(row, "batch") == "16" ? "4" : "2");  // 64 images, one epoch
    EXPECT_NE(cell(row, "top1_percent"), "");
  }
  EXPECT_NE(cell(one[6], "loss"), cell(one[7], "loss"));  // two seeds
  say(kTrials);
  EXPECT_EQ(without_wall(run(3)), one);
}

TEST_F(TrialsTest, ADivergingTrialIsARow) {
  say(replaced(replaced(kTrials, "[0.1, 0.2]", "[0.1, 1e30]"), "[4, 8]", "[4, 4e31]"));
  const auto rows = run(2);
  ASSERT_THAT(rows, SizeIs(14));
  EXPECT_EQ(cell(rows[0], "diverged"), "no");
  EXPECT_EQ(cell(rows[1], "rate"), "1e+30");
  EXPECT_EQ(cell(rows[1], "diverged"), "yes");
  EXPECT_EQ(cell(rows[1], "top1_percent"), "");
  EXPECT_EQ(cell(rows[1], "error"), "");
  EXPECT_EQ(cell(rows[6], "rate"), "0.1");  // the other one won, and is the end of its grid
  EXPECT_EQ(cell(rows[6], "edge"), "low");
  EXPECT_THAT(trials_page(spec, trials, outcomes), HasSubstr("widen the grid"));
}

TEST_F(TrialsTest, GoingOnRepeatsNothing) {
  const auto whole = long_ago(run(2));
  // The earlier file: 9 rows, the last line cut off by a kill.
  const std::string text = csv({whole.begin(), whole.begin() + 9});
  const auto path = scratch.write("trials.csv", text.substr(0, text.size() - 4));
  say(kTrials);
  earlier = finished(path);
  EXPECT_THAT(earlier, SizeIs(8));
  const auto rows = run(2);
  ASSERT_THAT(rows, SizeIs(14));
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(rows[i], whole[i]);
  for (std::size_t i = 8; i < 14; ++i) {
    EXPECT_EQ(cell(rows[i], "loss"), cell(whole[i], "loss"));
    EXPECT_NE(cell(rows[i], "wall_s"), "77.7");
  }
}

/// Two rates, of which the first wins since the other diverges, or three.
std::string grid_of(int rates) {
  const std::string more = rates == 3 ? ", 1e41]" : "]", more_lars = rates == 3 ? ", 4e42]" : "]";
  return replaced(replaced(kTrials, "[0.1, 0.2]", "[0.1, 1e20" + more), "[4, 8]", "[4, 4e21" + more_lars);
}

TEST_F(TrialsTest, AWiderGridRepeatsNothing) {
  say(grid_of(2));
  const auto whole = long_ago(run(2));
  const auto path = scratch.write("trials.csv", csv(whole));
  // A third rate: two tuning trials per batch become three, and the rates that won stay.
  say(grid_of(3));
  earlier = finished(path);
  ASSERT_THAT(earlier, SizeIs(14));
  const auto rows = run(2);
  ASSERT_THAT(rows, SizeIs(9 + 8));
  for (const std::size_t batch : {0, 1, 2}) {  // rows 0 and 1 of each three are those of before
    for (const std::size_t rate : {0, 1}) EXPECT_EQ(cell(rows[3 * batch + rate], "wall_s"), "77.7");
    EXPECT_NE(cell(rows[3 * batch + 2], "wall_s"), "77.7");
    EXPECT_EQ(cell(rows[3 * batch + 2], "diverged"), "yes");
  }
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(cell(rows[9 + i], "wall_s"), "77.7");
    EXPECT_EQ(cell(rows[9 + i], "loss"), cell(whole[6 + i], "loss"));
    EXPECT_EQ(cell(rows[9 + i], "tuning_trials"), "3");
  }
}

// The grid grows and the execution is stopped at once: every row of before is told nevertheless, also of Final trials whose rate is open again.
TEST_F(TrialsTest, AStopWithAWiderGridLosesNothing) {
  say(grid_of(2));
  const auto path = scratch.write("trials.csv", csv(run(2)));
  say(grid_of(3));
  std::size_t rows = 0;
  TrialsJob job;
  job.finished = [&](const SweepRow&) { ++rows; };
  job.progress = [](double, std::size_t) { return false; };
  EXPECT_FALSE(run_trials(request, spec, trials, finished(path), outcomes, job));
  EXPECT_GE(rows, 14u);
}

TEST_F(TrialsTest, RowsOfOthersAreRefused) {
  const auto path = scratch.write("trials.csv", csv(run(2)));
  EXPECT_THAT(finished(path), SizeIs(14));
  const auto refusal = [&] { return scratch.faults([&] { finished(path); }); };
  request.sets = {"optimizer.momentum=0.8"};
  EXPECT_THAT(refusal(), testing::AllOf(SizeIs(6), testing::Contains(HasSubstr("trials.csv:2: was made from other")),
                                        testing::Contains(HasSubstr("9 more rows differ"))));
  request.sets.clear();
  say(replaced(kTrials, "[11, 12]", "[11, 13]"));
  EXPECT_THAT(refusal(), testing::Contains(HasSubstr("seed 12 is none of these trials")));
  say(replaced(replaced(kTrials, "[0.1, 0.2]", "[0.2, 0.4]"), "[11, 12]", "[11, 12, 13]"));
  EXPECT_THAT(refusal(), testing::Contains(HasSubstr("the grid of \"SGD\" has no rate 0.1")));
  say(kTrials);
  const auto other = scratch.write("results.csv", "index,step_ms\n0,1\n");
  EXPECT_THAT(scratch.faults([&] { finished(other); }), ElementsAre(HasSubstr("results.csv:1:1: is of another sweep")));
  EXPECT_THAT(scratch.faults([&] { finished(scratch.directory() / "none.csv"); }),
              ElementsAre(HasSubstr("none.csv: no such file")));
}

TEST_F(TrialsTest, FaultsOfRunsAreFoundBeforeWork) {
  say(replaced(kTrials, "optimizer.kind=lars", "optimizer.kind=larz"));
  EXPECT_THAT(scratch.faults([&] { check_trials(request, spec, trials); }),
              ElementsAre(testing::AllOf(HasSubstr("trials.toml:8:1: series \"LARS\": optimizer.kind=larz"),
                                         HasSubstr("did you mean \"lars\"?"))));
  say(kTrials);
  request.sets = {"data.kind=idx", "data.path=none"};
  EXPECT_THAT(scratch.faults([&] { check_trials(request, spec, trials); }),
              ElementsAre(HasSubstr("--set data.path=none: data.path: \"none\" is not a directory")));
  request.sets.clear();
  EXPECT_THAT(scratch.faults([&] { check_trials(request, spec, trials); }), IsEmpty());
}

TEST_F(TrialsTest, StoppedTrialsAreNoRows) {
  TrialsJob job;
  std::size_t rows = 0;
  job.finished = [&](const SweepRow&) { ++rows; };
  job.progress = [&](double, std::size_t) { return rows < 2; };
  EXPECT_FALSE(run_trials(request, spec, trials, earlier, outcomes, job));
  EXPECT_GE(rows, 2u);
  EXPECT_LT(rows, 14u);
  EXPECT_EQ(outcomes.size(), rows);
}

}  // namespace
}  // namespace lockstep
