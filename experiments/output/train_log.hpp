// The log of a training run: JSON lines for programs, MLPerf's MLLOG lines for comparison with submissions.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "core/run/training_loop.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Of log.jsonl; stands in the start record. A key that changes its meaning or goes away makes it a new one.
inline constexpr int kLogFormat = 1;

/// One JSON object, without line break: "event" is start (with "format"), steps, evaluation, checkpoint, warning or end; times in s and ms, rates in images/s,
/// top-1 in percent; what is unknown is left out.
std::string json_line(const LogRecord& record);

/// Appends to log.jsonl and mlperf.log in `directory`, each line flushed as it is written, so that a killed run keeps its log.
class TrainLog {
 public:
  /// Milliseconds since 1970, for MLLOG's time stamps.
  using Clock = std::function<std::int64_t()>;

  /// `resumed`: append to what is there, else begin anew. Throws BackendError if the files cannot be opened.
  TrainLog(const std::filesystem::path& directory, const RunSpec& run, bool resumed, Clock clock);
  void record(const LogRecord& record);

 private:
  void mllog(const char* type, const std::string& key, const std::string& value, const std::string& metadata = "{}");
  void write(std::ofstream& out, const std::string& line);

  std::ofstream json_, mlperf_;
  std::filesystem::path directory_;
  Clock clock_;
};

}  // namespace lockstep
