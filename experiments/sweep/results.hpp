// results.csv of a sweep: one row per point, written as points finish, in the order of their index at the end.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/sweep/plan.hpp"

namespace lockstep {

/// Cells as text, one per column.
using SweepRow = std::vector<std::string>;

/// index, the swept keys, gpus, global_batch, step_ms and its parts, images_per_s, efficiency if asked for, steps,
/// time_to_train_s, gpu_hours, top1_percent with its band, event_digest, fold (which ranks were simulated), inputs_digest, doubts, warnings, error. Cells that a
/// point does not have are empty.
std::vector<std::string> sweep_columns(const std::vector<Axis>& axes, bool efficiency);

/// `efficiency` is against one GPU of the same model; absent where it was not asked for. `doubts`: what the machine would not do (check::machine_warnings).
SweepRow row_of(const SweepPoint& point, const RunPrediction& prediction, std::optional<double> efficiency,
                const std::vector<std::string>& doubts);
/// A point without a prediction. `error` is one line; several faults are separated by "; ".
SweepRow failed_row(const SweepPoint& point, const std::string& error, bool efficiency);
std::string error_of(const std::vector<Fault>& faults);
bool failed(const SweepRow& row);
std::size_t index_of(const SweepRow& row);

/// With its line end; cells that need quotes get them.
std::string csv_line(const SweepRow& row);
/// Rows of a table with this header. Throws ConfigError if it has another one; `name` stands in messages.
std::vector<SweepRow> parse_rows(const std::vector<std::string>& columns, const std::string& text,
                                 const std::string& name);
/// One JSON object on one line, figures as numbers, absent ones as null.
std::string json_line(const std::vector<std::string>& columns, const SweepRow& row);

/// The whole lines of a table that may have been cut off while it was written; empty if not even the header is whole. Throws ConfigError where there is
/// no such file; `what` names what it belongs to ("sweep").
std::string whole_lines(const std::filesystem::path& path, const std::string& what);
/// Throws the first five of `faults`, with how many `rows` more differ and what to do; returns if there are none. `expected`: "the same sweep".
void refuse_rows(std::vector<Fault> faults, const std::filesystem::path& path, const std::string& rows,
                 const std::string& expected);

/// The rows of an earlier, unfinished sweep of the same points that need not be done again: those without an error. A
/// last line that was cut off is dropped. Throws ConfigError if there is no such file, or it belongs to another sweep:
/// other columns, values, or inputs (by their digest).
std::vector<SweepRow> finished_rows(const std::filesystem::path& path, const SweepPlan& plan, bool efficiency);

/// The file while a sweep goes on. Every append() is on disk when it returns. Throws BackendError where writing fails.
class ResultsFile {
 public:
  /// Writes header and `rows` anew.
  ResultsFile(std::filesystem::path path, std::vector<std::string> columns, const std::vector<SweepRow>& rows);
  void append(const SweepRow& row);
  /// Replaces the file by its rows in the order of their index.
  void finish();
  const std::map<std::size_t, SweepRow>& rows() const { return rows_; }

 private:
  std::string whole() const;
  std::filesystem::path path_;
  std::vector<std::string> columns_;
  std::map<std::size_t, SweepRow> rows_;
  std::ofstream out_;
};

}  // namespace lockstep
