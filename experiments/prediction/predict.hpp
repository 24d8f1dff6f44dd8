// A prediction with all that was asked for beside it: what `lockstep simulate` and the Python package report.
#pragma once

#include <string>

#include "experiments/config_io/config_io.hpp"
#include "experiments/output/report.hpp"

namespace lockstep {

struct PredictionParts {
  bool curve = false, interval = false, explain = false;
};

/// The run, then its curve (output.curve), ladder and interval as asked for, and the published figures that it names. `run_file` stands in the report.
/// `progress` may be empty; false stops after the simulation under way, and what has not begun is left out. SimulationReport::wall is left to the caller.
SimulationReport predict_report(Inputs inputs, const std::string& run_file, const DataPaths& paths,
                                PredictionParts parts, const Progress& progress);

}  // namespace lockstep
