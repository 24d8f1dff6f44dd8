// One prediction per line of standard input, its milliseconds of wall time and of processor time on standard output: the C++ call beside which python_call.py times the Python one.
#include <chrono>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/inputs/read_inputs.hpp"
#include "experiments/prediction/predict.hpp"

int main(int argc, char** argv) {
  using namespace lockstep;
  if (argc < 3) {
    fmt::print(stderr, "usage: predict_bench RUN.toml DATA [PATH=VALUE ...]\n");
    return 2;
  }
  const DataPaths data{argv[2]};
  const std::vector<std::string> sets(argv + 3, argv + argc);
  try {
    for (std::string line; std::getline(std::cin, line);) {
      const std::clock_t cpu = std::clock();
      const auto begin = std::chrono::steady_clock::now();
      const SimulationReport report = predict_report(read_inputs(argv[1], sets, data), argv[1], data, {}, {});
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
      const double worked = 1e3 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
      fmt::print("{:.6f} {:.6f} {}\n", took.count(), worked, report.prediction.step.step.milliseconds());
      std::fflush(stdout);
    }
  } catch (const ConfigError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
