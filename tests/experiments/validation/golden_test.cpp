// Golden predictions: every row of `lockstep validate` must keep its value. A changed golden file needs a line in CHANGELOG.md that says why
// the prediction moved. Regenerate: build/lockstep validate --output tests/golden/validation.csv
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/error.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/validation/validation.hpp"

namespace lockstep {
namespace {

const std::string kSource = LOCKSTEP_SOURCE_DIR;
constexpr double kDrift = 0.001;  // other compilers may round transcendental functions differently

std::vector<ValidationResult> validated(const std::vector<ValidationRow>& rows, std::size_t threads,
                                        bool interval = false, const Progress& progress = {}) {
  return validate_rows(rows, kSource + "/data", kSource + "/experiments", interval, threads, progress);
}

/// Rows of every quantity that costs little.
std::vector<ValidationRow> quick_rows() {
  std::vector<ValidationRow> rows = read_validation(kSource + "/data");
  std::erase_if(rows, [](const ValidationRow& row) {
    return row.id.rfind("dgx1_fp", 0) != 0 && row.id.rfind("a100x8_np8", 0) != 0 && row.id != "a100x8_1048576" &&
           row.quantity != "not_simulated" && row.id != "goyal_ring_over_hd_256k";
  });
  return rows;
}

void expect_golden(bool slow_rows) {
  const CsvTable golden = read_csv(kSource + "/tests/golden/validation.csv");
  std::map<std::string, double> expected;
  for (std::size_t r = 0; r < golden.rows(); ++r) {
    if (golden.text(r, "predicted") != "nan") expected[golden.text(r, "id")] = golden.number(r, "predicted");
  }
  std::vector<ValidationRow> rows = read_validation(kSource + "/data");
  std::erase_if(rows, [&](const ValidationRow& row) {
    const bool shown_table = !row.counted && (row.quantity == "allreduce_us" || row.quantity == "allreduce_median");
    const bool slow = shown_table || row.quantity == "time_to_train_s" || row.run == "fujitsu_abci_2048" ||
                      row.run == "goyal_one_hour" ||
                      std::find(row.set.begin(), row.set.end(), "simulation.fold=approx") != row.set.end();
    return row.quantity == "not_simulated" || slow != slow_rows;
  });
  EXPECT_GT(rows.size(), 5u);
  for (const ValidationResult& result : validated(rows, usable_threads())) {
    const std::string& id = result.row.id;
    ASSERT_TRUE(expected.count(id)) << id << " has no golden value";
    EXPECT_NEAR(result.predicted / expected[id], 1, kDrift)
        << id << ": " << result.predicted << ", golden " << expected[id];
  }
}

TEST(Golden, SingleNodesAndCountedTables) { expect_golden(false); }
TEST(GoldenSlow, ClusterRunsAndShownTables) { expect_golden(true); }

TEST(Validation, SameBytesForAnyNumberOfThreads) {
  const std::vector<ValidationRow> rows = quick_rows();
  ASSERT_GT(rows.size(), 20u);
  const std::string alone = to_csv(validated(rows, 1));
  for (const std::size_t threads : {3u, 64u}) EXPECT_EQ(to_csv(validated(rows, threads)), alone) << threads;
}

TEST(ValidationSlow, IntervalsToo) {
  std::vector<ValidationRow> rows = quick_rows();
  std::erase_if(rows, [](const ValidationRow& row) { return row.id != "dgx1_fp16_4" && row.id != "a100x8_1048576"; });
  ASSERT_EQ(rows.size(), 2u);
  const std::string alone = to_csv(validated(rows, 1, true));
  EXPECT_EQ(to_csv(validated(rows, 5, true)), alone);
}

TEST(Validation, StopsWhenToldTo) {
  const auto stop = [](double, const std::string&) { return false; };
  EXPECT_TRUE(validated(quick_rows(), 2, false, stop).empty());
}

TEST(Validation, ARowThatCannotBeReadEndsIt) {
  std::vector<ValidationRow> rows = quick_rows();
  rows.back().quantity = "allreduce_us";
  rows.back().set = {"cluster"};
  EXPECT_THROW(validated(rows, 2), ConfigError);
}

TEST(Validation, ASetThatSaysNothingIsRefused) {
  const auto said = [](const char* set) -> std::string {
    ValidationRow row;
    row.id = "row";
    row.quantity = "allreduce_us";
    row.set = {"cluster=dgx1-v100", "gpus=8", "bytes=1024", set};
    try {
      validated({row}, 1);
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_NE(said("gpudirct=yes").find("gpudirct=yes: expected key=value, with a key of cluster"), std::string::npos)
      << said("gpudirct=yes");
  EXPECT_NE(said("across=nvls").find("\"nvls\" is not known"), std::string::npos) << said("across=nvls");
  EXPECT_NE(said("algorithm=rign").find("did you mean \"ring\""), std::string::npos) << said("algorithm=rign");
}

// NCCL_ALGO of a table: two nodes of DGX-1 by NCCL 2.4 take the tree at 1 MiB.
TEST(Validation, ASetTakesAmong) {
  const auto microseconds = [](const std::string& among) {
    ValidationRow row;
    row.id = "row";
    row.quantity = "allreduce_us";
    row.set = {"cluster=dgx1-v100", "gpus=16", "library=nccl-2.4", "algorithm=library", "bytes=1048576", among};
    return validated({row}, 1).at(0).predicted;
  };
  const double free = microseconds("among="), ring = microseconds("among=ring");
  EXPECT_NE(free, ring);
  EXPECT_EQ(microseconds("among=tree"), free);
  EXPECT_EQ(microseconds("among=ring,tree"), free);
  EXPECT_THROW(microseconds("among=rign"), ConfigError);
  EXPECT_THROW(microseconds("among=nvls"), ConfigError);
}

TEST(Validation, RowsAreWellFormed) {
  std::map<std::string, int> ids;
  int counted = 0;
  for (const ValidationRow& row : read_validation(kSource + "/data")) {
    EXPECT_EQ(++ids[row.id], 1) << row.id;
    EXPECT_FALSE(row.source.empty()) << row.id;
    EXPECT_FALSE(row.reason.empty()) << row.id;
    if (row.counted) {
      EXPECT_LT(row.low, row.published) << row.id;
      EXPECT_GT(row.high, row.published) << row.id;
    }
    counted += row.counted;
  }
  EXPECT_EQ(counted, 117);
}

}  // namespace
}  // namespace lockstep
