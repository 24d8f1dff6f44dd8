// A real run from its run file to its results: the composition of inputs, data, communication, world and loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/run/training_loop.hpp"
#include "experiments/compose.hpp"
#include "real/world/device.hpp"

namespace lockstep {

struct TrainingRequest {
  std::filesystem::path run_file;
  std::vector<std::string> sets;  ///< path=value
  std::filesystem::path data;     ///< directory with clusters/, gpus/, libraries/
  std::filesystem::path
      output;  ///< empty: output.directory of the run file, else results/<folder of the run file>_train
  bool force = false, resume = false;
  bool writes = true;  ///< false: no result directory is claimed, for measurements
};

/// Some steps of a run, timed one by one.
struct Measurement {
  Inputs inputs;
  WorldInfo info;
  StepProgram program;
  StepResult result;  ///< over the measured steps
  Timeline timeline;  ///< of every rank, up to 8
  std::int64_t steps = 0;
  std::int64_t inference_images = 0;  ///< of one evaluation pass of a rank
  Time inference;                     ///< its time
};

struct TrainingReport {
  Inputs inputs;  ///< effective: world size and counts of images as they were
  WorldInfo info;
  TrainingResult result;
  std::filesystem::path directory;
  std::string written;  ///< files, for people
  std::int64_t last_step = 0;
};

/// JSON of the report: rates, times in s and ms, loss, top-1 in percent.
std::string to_json(const TrainingReport& report);

/// Thrown on the other ranks instead of a ConfigError that rank 0 reports: they leave in silence, and the exit code of the job is rank 0's.
struct ReportedByRank0 {};

/// Ends all processes of the job at once: for an error that this rank has and the others do not know of.
void abort_job_of(int exit_code);

/// One process of a run. Every process of the job makes one and calls run() once; the number of processes is the world size, whatever
/// `cluster.gpus` says. Only rank 0 writes: run.toml, log.jsonl, mlperf.log, checkpoints/, trace.json, result.json.
class TrainingSession {
 public:
  /// Joins the job, reads and checks everything: run file, the files it names, images, result directory. If any rank finds faults, rank 0 throws those
  /// of the lowest such rank and the others ReportedByRank0.
  explicit TrainingSession(const TrainingRequest& request);
  ~TrainingSession();
  int rank() const;
  /// `log` hears every record on every rank; `go_on` is asked after every step and false on any rank stops all of them after the
  /// same step, with a checkpoint.
  TrainingReport run(const std::function<void(const LogRecord&)>& log, const std::function<bool()>& go_on);
  /// Runs some steps to warm up and then `steps` >= 1 more, all recorded. Writes nothing.
  Measurement measure(std::int64_t steps, const std::function<bool()>& go_on);
  /// Of this rank's device, one thread of processors.
  DeviceRates rates() const;
  /// Time and size of messages to and fro between ranks 0 and 1, best of several; empty for a job of one.
  std::vector<std::pair<Bytes, Time>> ping_pong();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
