// Predicted against published: the rows of data/published/validation.csv.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/compose.hpp"
#include "experiments/parallel.hpp"

namespace lockstep {

/// What a row compares.
///   images_per_s, step_ms, time_to_train_s   of experiments/<run>/run.toml with the row's overrides
///   step_ratio                               its step time over that of the same file with the row's `against` overrides
///   time_ratio                               time to train, likewise
///   not_simulated                            shown with the reason; the prediction is NaN
///   allreduce_us                             a bare collective: overrides cluster, gpus, library, bytes, algorithm, across, protocol, among, launch, stagger,
///                                            gpudirect, leaders, nvlink (no: without), nics (fewer than the file's, evenly chosen)
///   allreduce_busbw                          its bus bandwidth in GB/s
///   allreduce_ratio                          two of them
///   allreduce_median                         median over `against`, entries bytes=microseconds, of predicted / published
struct ValidationRow {
  std::string id, quantity, run;
  std::vector<std::string> set, against;
  double published = 0, low = 0, high = 0;  ///< the band in which a prediction passes
  bool counted = false;
  std::string reason;  ///< of the band, or why the row is not counted
  std::string source, confidence;
};

struct ValidationResult {
  ValidationRow row;
  double predicted = 0;
  std::optional<double> interval_low, interval_high;  ///< of the prediction, where asked for
  bool inside() const { return predicted >= row.low && predicted <= row.high; }
  double error() const { return predicted / row.published - 1; }
  bool has_interval() const { return interval_low.has_value(); }
  bool holds_published() const { return row.published >= *interval_low && row.published <= *interval_high; }
  /// Half of the interval's width, relative to the prediction.
  double half_width() const { return (*interval_high - *interval_low) / 2 / predicted; }
};

/// The rows of published/validation.csv, then those of the tables of published/nccl_tables.csv: allreduce_us for every size of nccl_tests.csv, named
/// <table>_<bytes>, counted from 1 MiB up within 15 % if the table is counted; and <table>_small, the median over all smaller sizes, within 30 %.
/// Throws ConfigError with file and line.
std::vector<ValidationRow> read_validation(const std::filesystem::path& data);

/// Those whose id begins with `only`, in order. Throws ConfigError ("--only") if there is none.
std::vector<ValidationRow> rows_named(const std::vector<ValidationRow>& rows, const std::string& only);

/// `experiments`: the folder of the run files. `interval`: also the 90 % prediction interval (interval.hpp) of
/// steps, collectives and ratios of either, on up to `threads` threads; not of times to train, whose epochs and set-up are inputs.
ValidationResult validate_row(const ValidationRow& row, const std::filesystem::path& data,
                              const std::filesystem::path& experiments, bool interval,
                              std::size_t threads = usable_threads());

/// All of `rows`, several at a time on up to `threads` threads; results in the order of the rows and, as every row depends on itself alone, equal
/// for every number of threads. `progress` may be empty; if it stopped the work, nothing.
std::vector<ValidationResult> validate_rows(const std::vector<ValidationRow>& rows, const std::filesystem::path& data,
                                            const std::filesystem::path& experiments, bool interval,
                                            std::size_t threads, const Progress& progress);

std::string to_text(const std::vector<ValidationResult>& results);
std::string to_json(const std::vector<ValidationResult>& results);
std::string to_csv(const std::vector<ValidationResult>& results);

}  // namespace lockstep
