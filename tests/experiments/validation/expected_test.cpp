// Every experiment still gives the curve that its folder promises (expected.csv). Regenerate: lockstep simulate RUN.toml --output DIR, scaling.csv.
#include <gtest/gtest.h>

#include "experiments/config_io/config_io.hpp"
#include "experiments/config_io/csv.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/validation/validation.hpp"

namespace lockstep {
namespace {

const std::string kSource = LOCKSTEP_SOURCE_DIR;
constexpr double kDrift = 0.001;  // as for the golden rows

void expect_curve(const std::string& experiment) {
  const DataPaths paths{kSource + "/data"};
  const std::string folder = kSource + "/experiments/" + experiment;
  const Inputs in = read_inputs(folder + "/run.toml", {}, paths);
  ASSERT_TRUE(validate(in).empty());
  const auto curve = predict_curve(in, in.run.output.curve, {});
  const CsvTable expected = read_csv(folder + "/expected.csv");
  ASSERT_EQ(curve.size(), expected.rows());
  for (std::size_t r = 0; r < curve.size(); ++r) {
    EXPECT_EQ(curve[r].prediction.gpus, expected.whole(r, "gpus"));
    EXPECT_NEAR(curve[r].prediction.step.milliseconds() / expected.number(r, "step_ms"), 1, kDrift)
        << experiment << ", " << curve[r].prediction.gpus << " GPUs";
    EXPECT_NEAR(curve[r].efficiency / expected.number(r, "efficiency"), 1, kDrift);
  }
}

TEST(Expected, DgxLadders) { expect_curve("dgx_ladders"); }
TEST(Expected, LarsAlexnet) { expect_curve("lars_alexnet_dgx1"); }
TEST(ExpectedSlow, GoyalOneHour) { expect_curve("goyal_one_hour"); }
TEST(ExpectedSlow, AkibaFifteenMinutes) { expect_curve("akiba_mn1_1024"); }
TEST(ExpectedSlow, JiaTencent) { expect_curve("jia_tencent_2048"); }
TEST(ExpectedSlow, MlperfA100) { expect_curve("mlperf_a100_4216"); }
TEST(ExpectedSlow, Fujitsu) { expect_curve("fujitsu_abci_2048"); }

}  // namespace
}  // namespace lockstep
