// What `simulate` reports does not depend on how many threads worked on it. (A peer printed two results for four equal calls.)
#include <gtest/gtest.h>
#include <sched.h>

#include "experiments/inputs/read_inputs.hpp"
#include "experiments/parallel.hpp"
#include "experiments/prediction/predict.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;

/// Leaves this process one of its cores while it lives.
class OneCore {
 public:
  OneCore() {
    CPU_ZERO(&before_);
    if (sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE; ++c) {
      if (!CPU_ISSET(c, &before_)) continue;
      CPU_SET(c, &one);
      break;
    }
    bound_ = sched_setaffinity(0, sizeof one, &one) == 0;
  }
  ~OneCore() {
    if (bound_) sched_setaffinity(0, sizeof before_, &before_);
  }
  OneCore(const OneCore&) = delete;
  OneCore& operator=(const OneCore&) = delete;

 private:
  cpu_set_t before_;
  bool bound_ = false;
};

std::string report() {
  const DataPaths paths{kSource / "data"};
  const Inputs inputs =
      read_inputs(kSource / "experiments/dgx_ladders/run.toml",
                  {"training.epochs=1", "simulation.sampled_steps=2", "output.curve=[1,2,4,8]"}, paths);
  SimulationReport report = predict_report(inputs, "run.toml", paths, {true, true, true}, {});
  report.wall = {};
  return to_json(report);
}

TEST(Prediction, SameBytesForAnyNumberOfThreads) {
  if (usable_threads() < 2) GTEST_SKIP() << "this process has one core";
  const std::string all = report();
  const OneCore one;
  ASSERT_EQ(usable_threads(), 1u);
  EXPECT_EQ(report(), all);
}

}  // namespace
}  // namespace lockstep
