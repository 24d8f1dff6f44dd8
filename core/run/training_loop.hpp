// The training run, written once against World: epochs, rates, evaluations, checkpoints, logging.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/run/world.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// One line of the run's log; the caller renders it.
struct LogRecord {
  enum class Kind { Start, Steps, Evaluation, Checkpoint, Warning, End } kind = Kind::Steps;
  Time now;
  double epoch = 0;
  std::int64_t step = 0, total_steps = 0;
  double lr = 0;
  StepResult result;      ///< Steps
  EvalResult evaluation;  ///< Evaluation
  std::string text;       ///< Start, Checkpoint, Warning, End
};

struct TrainingResult {
  Time elapsed;   ///< whole run, set-up and evaluations included
  Time stepping;  ///< in steps
  Time evaluating;
  std::int64_t steps = 0;
  std::int64_t images = 0;
  std::optional<Figure> loss, top1;
  Breakdown parts;           ///< mean step of the whole run
  double loss_scale = 0;     ///< at the end; 0: gradients are not scaled
  std::int64_t skipped = 0;  ///< steps whose update loss scaling left out
  bool stopped = false;      ///< by the observer
};

/// Makes the program for a global batch; called once per distinct batch and cached by the loop.
using ProgramFactory = std::function<StepProgram(std::int64_t global_batch)>;

struct LoopHooks {
  std::function<void(const LogRecord&)> log;  ///< may be empty
  StepObserver observer;                      ///< may be empty
  std::optional<std::string> resume_from;     ///< checkpoint id
};

/// Runs `run` on `world`. Hands over all consecutive steps up to the next log line, evaluation, checkpoint or change of program
/// in one World::run call. Knows nothing about the kind of world.
TrainingResult train(const RunSpec& run, World& world, const ProgramFactory& programs, const LoopHooks& hooks);

/// StepArgs of optimizer step `step` (0-based): pure. Warm-up longer than the run is shortened (see schedule_warnings).
StepArgs step_args(const RunSpec& run, std::int64_t step);
/// Total optimizer steps, batch-size schedule included.
std::int64_t total_steps(const RunSpec& run);
/// "warm-up of 36 epochs is longer than the run (10); shortened to 10", ...
std::vector<std::string> schedule_warnings(const RunSpec& run);

}  // namespace lockstep
