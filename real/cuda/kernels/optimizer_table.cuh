// What the optimizer reads and writes in device memory. Plain data, shared by host and device.
#pragma once

namespace lockstep::cuda {

/// core's SGD, Nesterov, and each LarsVariant.
enum class UpdateKind {
  Sgd,
  Nesterov,
  Paper,
  MlperfReference,
  TfModels,
  MxnetMultiLars,
  NvidiaFastV2,
  Fujitsu,
  ApexLarc,
  ApexScale,
  Timm
};

/// Fixed during a run. `epsilon` as core's effective_epsilon() gives it.
struct UpdateRule {
  UpdateKind kind;
  double trust, epsilon;
};

/// Bits of TensorEntry::flags: core's TensorTreatment.
constexpr int kTensorRatio = 1, kTensorDecay = 2, kTensorCorrection = 4;

/// One parameter tensor. `gradient`: summed over all images of the step and multiplied by the loss scale. `low`: the
/// 16-bit copy, or null.
struct TensorEntry {
  float* weight;
  const float* gradient;
  float* velocity;
  void* low;
  long long elements;
  int flags;
};

/// A piece of one tensor, the work of one block.
struct TensorChunk {
  int tensor;
  long long offset;
};
constexpr int kChunkElements = 8192;  ///< the last chunk of a tensor may be shorter

/// The values of one step, in device memory so that a captured graph can be replayed with new ones: core's StepValues,
/// and the divisor.
struct StepValuesDevice {
  double lr, base_lr, weight_decay, weight_decay_base, momentum, momentum_scale;
  double images;  ///< true global count, >= 1: the divisor of the summed gradient beside the loss scale
};

/// Loss scale and its history, in device memory. Starts as {scale, 0, 0, 0}.
struct LossScale {
  float scale;        ///< what the gradients of the running step are multiplied by; > 0
  int good_steps;     ///< since the last change
  int skipped;        ///< 1 if the latest update was skipped for a gradient that is not finite
  int total_skipped;  ///< in this run
};

/// Dynamic loss scaling (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2): a gradient that is not finite skips
/// the update and multiplies the scale by `backoff`; `interval` good steps in a row multiply it by `growth`; it stays
/// within [least, most].
struct LossScalePolicy {
  float growth = 2, backoff = 0.5f;
  int interval = 2000;
  float least = 1, most = 16777216;
};

}  // namespace lockstep::cuda
