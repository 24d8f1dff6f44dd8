// Softmax cross-entropy with label smoothing, its gradient, and the count of right answers: core/model/loss.hpp on the
// device.
#pragma once

#include <cuda_runtime_api.h>

#include "real/cuda/kernels/element.hpp"
#include "real/cuda/kernels/loss_sums.cuh"

namespace lockstep::cuda {

struct LossArgs {
  int images = 0, classes = 0;  ///< >= 1
  Element element = Element::F32;
  const void* logits = nullptr;           ///< [images, classes]
  const int* labels = nullptr;            ///< [images] in device memory; negative: no loss, gradient 0, not counted
  double smoothing = 0;                   ///< in [0, 1)
  const float* gradient_scale = nullptr;  ///< one value in device memory, the loss scale (LossScale::scale); null: 1
  /// [images, classes] of `element`: d (sum of losses) / d logits x scale; null in evaluation. May be `logits`.
  void* gradient = nullptr;
  ImageLoss* per_image = nullptr;  ///< [images], written
  LossSums* sums = nullptr;  ///< the batch's sums are ADDED in a fixed order: micro-steps accumulate without the host
};

/// Arithmetic in fp64 as core has it, the gradient rounded to fp32 and then to `element`. Right means: the label's
/// logit is the largest, of equal logits the first counts, a NaN makes it wrong. Two launches. A label >= classes: the
/// image's loss is NaN and its gradient 0 (never a read beyond the row).
/// To start a sum anew, set `sums` to zero bytes in stream order.
void softmax_cross_entropy(const LossArgs& args, cudaStream_t stream);

}  // namespace lockstep::cuda
