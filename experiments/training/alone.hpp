// A real run of one rank that leaves nothing but its result: no job, no files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "experiments/compose.hpp"
#include "real/data/dataset.hpp"

namespace lockstep {

/// The images of a run. Any number of runs with equal [data] and [model] may use them at the same time.
struct RunImages {
  std::shared_ptr<const Dataset> training, validation;  ///< validation is null if none are wanted
};

/// Throws ConfigError with all faults of the images and of the device; places are "run file".
RunImages open_images(const RunSpec& run);

/// Trains `inputs`, which is for one rank, in the calling thread with `real.threads` threads. `step` is called after
/// every step with the number of finished ones; false ends the run there (TrainingResult::stopped). Several runs may go
/// on in one process. Throws Diverged, ConfigError, BackendError.
TrainingResult train_alone(const Inputs& inputs, const RunImages& images,
                           const std::function<bool(std::int64_t done)>& step);

}  // namespace lockstep
