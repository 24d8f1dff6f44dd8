// The seam: what a training run needs from the machine, real or simulated. The only virtual functions in core.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/plan/step_program.hpp"
#include "core/run/timeline.hpp"

namespace lockstep {

/// The loss is no longer a finite number. Its fault says at which step and what may help.
class Diverged final : public ConfigError {
 public:
  Diverged(std::int64_t at_step, std::string message)
      : ConfigError("run", "schedule.base_lr", std::move(message)), step(at_step) {}
  std::int64_t step;
};

/// What changes from step to step; computed by pure schedules, the same on every rank.
struct StepArgs {
  std::int64_t step = 0;
  double epoch = 0;  ///< at the start of the step, fractional
  double lr = 0;
  double peak_lr = 0;  ///< rate after warm-up for this step's global batch: some LARS variants use it
  double weight_decay = 0;
  double momentum_scale = 1;  ///< lr_t / lr_{t-1}; for optimizers with momentum correction
  bool augment = true;
  std::int64_t first_sample = 0;  ///< position in the epoch's global order
  std::int64_t images = 0;        ///< true global count of this step: the divisor of the summed gradient
};

/// A value with its band; measured values have low == value == high.
struct Figure {
  double value = 0, low = 0, high = 0;
  static Figure exactly(double v) { return {v, v, v}; }
};

struct StepResult {
  Time elapsed;  ///< over all the steps
  std::int64_t steps = 0;
  std::int64_t images = 0;
  std::optional<Figure> loss;  ///< of the last step, averaged over the global batch
  Breakdown parts;             ///< mean per step
  double loss_scale = 0;       ///< of gradients in fp16, after the last of the steps; 0: they are not scaled
  std::int64_t skipped = 0;    ///< steps whose update was left out, because a scaled gradient was not finite
  bool stopped = false;        ///< the observer asked for it, on any process; perhaps after the last of the steps
};

struct EvalArgs {
  double epoch = 0;
  std::int64_t images = 0;  ///< validation images; every one is counted once
};

struct EvalResult {
  Time elapsed;
  std::optional<Figure> loss, top1;
};

struct WorldInfo {
  std::string backend;  ///< "simulated ABCI", "cpu (oneDNN 2.6)"
  int world_size = 1;
  std::string description;  ///< one line for logs: cluster, GPU, versions
};

/// The training loop's own state, saved with a checkpoint.
struct LoopState {
  std::int64_t step = 0;
  double epoch = 0;
  std::int64_t images_seen = 0;
  double last_lr = 0;
};

/// Everything that stays fixed during a run, handed over once.
struct RunPlan {
  std::shared_ptr<const ModelGraph> graph;  ///< fused
  std::uint64_t seed = 42;
};

/// Called after parts of a long `run`; return false to stop early (Ctrl-C). `done` counts steps of this call.
using StepObserver = std::function<bool(std::int64_t done, Time now)>;

/// One per process. All processes call the same functions in the same order with the same arguments; every value returned is
/// already reduced over ranks, so all take the same branch. Throws BackendError when the machine fails.
class World {
 public:
  virtual ~World() = default;
  virtual WorldInfo info() const = 0;
  /// Time since the run started, set-up included.
  virtual Time now() const = 0;
  /// Allocates and initialises (weights from the seed). Called once, first.
  virtual void prepare(const RunPlan& plan) = 0;
  /// What will come after the steps of the next run(): a hint, so that a world may fetch their images ahead.
  virtual void upcoming(std::span<const StepArgs>) {}
  /// Executes consecutive steps of one program.
  virtual StepResult run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) = 0;
  virtual EvalResult evaluate(const StepProgram& program, const EvalArgs& args) = 0;
  /// Checkpoint `id`: all or nothing.
  virtual void save(const std::string& id, const LoopState& state) = 0;
  virtual LoopState restore(const std::string& id) = 0;
  /// True on every process if it is true on any.
  virtual bool any(bool mine) = 0;
  /// Records of the given ranks and steps, as far as they were kept.
  virtual Timeline timeline(std::span<const Rank> ranks, std::span<const std::int64_t> steps) const = 0;
};

}  // namespace lockstep
