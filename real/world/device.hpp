// What computes for a rank: its processors, or its GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/run/world.hpp"
#include "core/spec/run_spec.hpp"
#include "real/data/loader.hpp"

namespace lockstep {

class ImageFeed;
class Recorder;
class Transport;

/// Sums over the images with a label.
struct BatchResult {
  double loss = 0;
  std::int64_t correct = 0, counted = 0;
  BatchResult& operator+=(const BatchResult& o) {
    loss += o.loss;
    correct += o.correct;
    counted += o.counted;
    return *this;
  }
};

/// Where dynamic loss scaling stands (fp16 only).
struct LossScaleState {
  double scale = 0;  ///< 0: not begun, or not used
  std::int64_t good_steps = 0;
};

/// One step of one rank.
struct StepOutcome {
  BatchResult sums;
  Breakdown parts;
  double loss_scale = 0;  ///< after the step; 0: gradients are not scaled
  bool skipped = false;   ///< a scaled gradient was not finite: weights stayed as they were; equal on all ranks
};

/// Everything that a step changes, as fp32 values on the host in the order and layout of TensorSet and NormStatistics: what a checkpoint
/// holds, the same for every kind of device.
struct ModelState {
  std::vector<float> weights, velocity;
  std::vector<float> statistics;  ///< moving averages of this rank
  LossScaleState loss_scale;      ///< equal on all ranks
};

/// Holds weights, velocity, gradients and moving averages. Every rank makes the same update from the same summed gradient, so the weights
/// agree bit by bit. All ranks call all functions in the same order. Throws BackendError when the machine fails.
class Device {
 public:
  virtual ~Device() = default;
  /// "cpu", "cuda".
  virtual std::string kind() const = 0;
  /// For logs: "oneDNN 2.6.3, avx512_core_bf16, 2 threads".
  virtual std::string description() const = 0;

  /// Of all batches that it is given.
  virtual ImageForm image_form() const { return {}; }

  /// What the libraries chose, for the run's directory: a line per convolution and direction; empty before the first step.
  virtual std::vector<std::string> choices() const { return {}; }

  /// Once, first.
  virtual void prepare(std::shared_ptr<const ModelGraph> graph, const ModelState& initial) = 0;
  /// Executes the program, with the images that `feed` gives. May return before the device is through; result() tells.
  virtual void step(const StepProgram& program, const StepArgs& args, ImageFeed& feed) = 0;
  /// Of the oldest step whose outcome was not asked for; waits for it. Its events are in the recorder then, if the step is traced.
  virtual StepOutcome result() = 0;
  /// Steps that may be under way while the next begins: 0 = step() returns when all is done.
  virtual int steps_ahead() const = 0;

  /// evaluate() uses these moving averages from now on, and the weights as they are. Batches will have at most `images` images.
  virtual void begin_evaluation(const std::vector<float>& statistics, std::int64_t images) = 0;
  virtual BatchResult evaluate(const Batch& batch) = 0;
  /// Means and (unbiased) variances of one batch alone, with the weights as they are, in the order of NormStatistics.
  /// Cheaper when batches of one size follow each other.
  virtual std::vector<float> statistics_of(const Batch& batch) = 0;

  /// Waits until the device is through.
  virtual ModelState state() = 0;
  virtual void set_state(const ModelState& state) = 0;
};

/// What a device can do beside the model, by measuring.
struct DeviceRates {
  FlopRate fp32, half;         ///< of a large matrix product; half: 16-bit operands
  Bandwidth memory;            ///< reads and writes of a large copy
  Bytes capacity;              ///< of its memory
  int compute_capability = 0;  ///< of a GPU, 10 x major + minor
};

/// What a device is made from; all of it outlives the device.
struct DeviceSettings {
  const RunSpec* run = nullptr;    ///< `cluster.gpus` is the number of ranks
  Transport* transport = nullptr;  ///< of this rank; the device has it during step()
  Recorder* recorder = nullptr;
};

}  // namespace lockstep
