// Golden predictions: every row of `lockstep validate` must keep its value. A changed golden file needs a line in CHANGELOG.md that says why
// the prediction moved. Regenerate: build/lockstep validate --output tests/golden/validation.csv
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "experiments/config_io/csv.hpp"
#include "experiments/validation/validation.hpp"

namespace lockstep {
namespace {

const std::string kSource = LOCKSTEP_SOURCE_DIR;
constexpr double kDrift = 0.001;  // other compilers may round transcendental functions differently

void expect_golden(bool slow_rows) {
  const CsvTable golden = read_csv(kSource + "/tests/golden/validation.csv");
  std::map<std::string, double> expected;
  for (std::size_t r = 0; r < golden.rows(); ++r) {
    if (golden.text(r, "predicted") != "nan") expected[golden.text(r, "id")] = golden.number(r, "predicted");
  }
  int checked = 0;
  for (const ValidationRow& row : read_validation(kSource + "/data")) {
    const bool slow =
        row.quantity == "time_to_train_s" || row.run == "fujitsu_abci_2048" || row.run == "goyal_one_hour";
    if (row.quantity == "not_simulated" || slow != slow_rows) continue;
    ASSERT_TRUE(expected.count(row.id)) << row.id << " has no golden value";
    const ValidationResult result = validate_row(row, kSource + "/data", kSource + "/experiments", false);
    EXPECT_NEAR(result.predicted / expected[row.id], 1, kDrift)
        << row.id << ": " << result.predicted << ", golden " << expected[row.id];
    ++checked;
  }
  EXPECT_GT(checked, 5);
}

TEST(Golden, SingleNodesAndCollectives) { expect_golden(false); }
TEST(GoldenSlow, ClusterRuns) { expect_golden(true); }

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
  EXPECT_EQ(counted, 48);
}

}  // namespace
}  // namespace lockstep
