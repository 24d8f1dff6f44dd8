// The real world: a rank's device, its images, the other ranks.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/run/world.hpp"
#include "core/spec/run_spec.hpp"
#include "real/comm/transport.hpp"
#include "real/data/dataset.hpp"
#include "real/world/device.hpp"
#include "real/world/recorder.hpp"

namespace lockstep {

struct RealWorldSettings {
  RunSpec run;                                   ///< `cluster.gpus` is the number of ranks
  Transport* transport = nullptr;                ///< of this rank; outlives the world
  const Dataset* training = nullptr;             ///< at least run.data.training_images images; outlives the world
  const Dataset* validation = nullptr;           ///< the same for validation_images; may be null if there are none
  std::filesystem::path checkpoints;             ///< directory; empty = save() does nothing
  TracedSteps traced;                            ///< steps whose timeline is kept
  std::function<void(const std::string&)> warn;  ///< broken images, refused checkpoints; may be empty
  /// cpu_device or cuda_device.
  std::function<std::unique_ptr<Device>(const DeviceSettings&)> device;
};

/// Every rank of a job holds one of these, and all call its functions in the same order. Checkpoints hold the weights, the velocity, every rank's moving
/// averages and the loop's state; everything else (order of images, augmentation, dropout) is a pure function of seed and step, so a resumed run
/// continues bit by bit, where the device computes equal bits from equal inputs.
/// run() throws Diverged when the loss is not finite, naming the step and the last checkpoint; BackendError when a rank is lost.
class RealWorld final : public World {
 public:
  explicit RealWorld(RealWorldSettings settings);
  ~RealWorld() override;

  WorldInfo info() const override;
  Time now() const override;
  /// Device::choices() of this rank.
  std::vector<std::string> choices() const;
  void prepare(const RunPlan& plan) override;
  void upcoming(std::span<const StepArgs> steps) override;
  StepResult run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) override;
  /// Top-1 and loss over every validation image once. Moving averages as `training.norm_statistics` says.
  EvalResult evaluate(const StepProgram& program, const EvalArgs& args) override;
  void save(const std::string& id, const LoopState& state) override;
  /// `id` as given to save(), or "newest": the newest that can be read.
  LoopState restore(const std::string& id) override;
  bool any(bool mine) override;
  /// Gathers the events of the traced steps from the ranks asked for; every rank must call it.
  Timeline timeline(std::span<const Rank> ranks, std::span<const std::int64_t> steps) const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
