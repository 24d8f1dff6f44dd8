// Predictions as text for people, JSON for programs, CSV for plots, and a trace for Perfetto.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/accuracy/run_accuracy.hpp"
#include "experiments/compose.hpp"
#include "experiments/explain.hpp"
#include "experiments/interval.hpp"
#include "experiments/output/published.hpp"

namespace lockstep {

/// Everything that `simulate` found out.
struct SimulationReport {
  Inputs inputs;
  std::string run_file;  ///< as given on the command line
  RunPrediction prediction;
  std::vector<CurvePoint> curve;  ///< may be empty
  std::optional<Interval> interval;
  std::vector<Rung> ladder;                ///< may be empty
  std::vector<PublishedFigure> published;  ///< rows that speak of this run; may be empty
  RunAccuracy accuracy;                    ///< may be empty
  Time wall;                               ///< how long the prediction took on this machine
};

std::string version();   ///< of the release: "0.1.0"
std::string revision();  ///< 12 hexadecimal digits of the sources that this program was built from

/// Seconds to the target top-1 with its band, if the models cover the run: set-up, and steps and evaluations in proportion to the epochs. The band is
/// that of the epochs alone.
std::optional<Figure> time_to_target(const SimulationReport& report);

/// The page that `simulate` prints.
std::string to_text(const SimulationReport& report);
/// result.json: every figure with its unit in the key, version, seed, digest.
std::string to_json(const SimulationReport& report);
/// scaling.csv: gpus, global_batch, step_ms, images_per_s, efficiency and the parts of the step in ms.
std::string curve_csv(const std::vector<CurvePoint>& curve);
/// Chrome trace event JSON, which Perfetto opens: one process per rank, one thread per lane; times in microseconds.
std::string to_trace(const Timeline& timeline);

/// Creates `directory`, or accepts it if empty or `force`. Throws ConfigError (key "output.directory") if it is filled, a file, or cannot be
/// written; checked before any work.
void claim_directory(const std::filesystem::path& directory, bool force);
/// Writes a file whole or not at all (temporary file, then rename). Throws BackendError.
void write_file(const std::filesystem::path& path, const std::string& content);

}  // namespace lockstep
