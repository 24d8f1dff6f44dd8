// One tensor's and one element's arithmetic: core/optim/sgd.hpp and lars.cpp again, in the same expressions.
#pragma once

#include "real/cuda/kernels/optimizer_table.cuh"

namespace lockstep::cuda {

/// Euclidean norms of one tensor; `combined` = |g + b w|.
struct TensorNorms {
  double w, g, combined;
};

/// What the update of a tensor needs beside the step's values.
struct TensorPlan {
  double ratio, decay, momentum;
};

__device__ inline bool takes_norms(UpdateKind kind) { return kind != UpdateKind::Sgd && kind != UpdateKind::Nesterov; }
__device__ inline bool is_mxnet(UpdateKind kind) {
  return kind == UpdateKind::MxnetMultiLars || kind == UpdateKind::NvidiaFastV2;
}

/// Decay of a tensor before any verdict of the trust ratio.
__device__ inline double decay_of(const StepValuesDevice& x, int flags) {
  return (flags & kTensorDecay) != 0 ? x.weight_decay : 0.0;
}

/// core's trust_ratio(): false where apex leaves the tensor to plain SGD without decay.
__device__ inline bool trust_ratio(const UpdateRule& rule, const StepValuesDevice& x, int flags,
                                   const TensorNorms& norms, double* ratio) {
  const double decay = decay_of(x, flags), decay_base = (flags & kTensorDecay) != 0 ? x.weight_decay_base : 0.0;
  const bool zero = norms.w == 0 || norms.g == 0;
  const double scaled = rule.trust * norms.w;
  const double usual = scaled / (norms.g + decay * norms.w + rule.epsilon);
  *ratio = 1;
  switch (rule.kind) {
    case UpdateKind::Sgd:
    case UpdateKind::Nesterov: break;
    case UpdateKind::Paper:
    case UpdateKind::MlperfReference:
    case UpdateKind::MxnetMultiLars:
    case UpdateKind::NvidiaFastV2:
      if (!zero) *ratio = usual;
      break;
    case UpdateKind::TfModels:
      if (norms.w != 0 && norms.combined != 0) *ratio = scaled / norms.combined;
      break;
    case UpdateKind::Fujitsu: {
      const double r = scaled / (norms.g + decay_base * x.base_lr * norms.w + rule.epsilon);
      if (r > 0 && isfinite(r)) *ratio = r;
      break;
    }
    case UpdateKind::ApexLarc:
      if (zero) return false;
      if (x.lr > 0) *ratio = 1.0 < usual / x.lr ? 1.0 : usual / x.lr;  // and a NaN stays, as in core
      break;
    case UpdateKind::ApexScale:
      if (zero) return false;
      *ratio = usual;
      break;
    case UpdateKind::Timm:
      if (!zero && decay != 0) *ratio = usual;
      break;
  }
  return true;
}

/// `norms` matter only where the tensor takes a ratio.
__device__ inline TensorPlan tensor_plan(const UpdateRule& rule, const StepValuesDevice& x, int flags,
                                         const TensorNorms& norms) {
  TensorPlan plan{1.0, decay_of(x, flags), x.momentum};
  const bool corrected = is_mxnet(rule.kind) || !takes_norms(rule.kind);
  if (corrected && (flags & kTensorCorrection) != 0) plan.momentum = x.momentum * x.momentum_scale;
  if (takes_norms(rule.kind) && (flags & kTensorRatio) != 0 && !trust_ratio(rule, x, flags, norms, &plan.ratio))
    plan.decay = 0;
  return plan;
}

/// New weight and velocity from weight, averaged gradient and velocity.
__device__ inline void update_element(UpdateKind kind, const StepValuesDevice& x, const TensorPlan& plan, double g,
                                      double* w, double* v) {
  const double b = plan.decay, r = plan.ratio, m = plan.momentum;
  switch (kind) {
    case UpdateKind::Sgd:
    case UpdateKind::Nesterov: {
      const double step = x.lr * (g + b * *w);
      *v = m * *v + step;
      *w = *w - (kind == UpdateKind::Nesterov ? x.momentum * *v + step : *v);
      break;
    }
    case UpdateKind::Paper:
    case UpdateKind::MlperfReference:
    case UpdateKind::TfModels:
      *v = m * *v + x.lr * r * (g + b * *w);
      *w = *w - *v;
      break;
    case UpdateKind::MxnetMultiLars:
    case UpdateKind::NvidiaFastV2:
      *v = m * *v - x.lr * r * (g + b * *w);
      *w = *w + *v;
      break;
    case UpdateKind::Fujitsu:
      *v = m * *v - r * b * x.base_lr * *w - r * x.lr * g;
      *w = *w + *v;
      break;
    case UpdateKind::ApexLarc:
    case UpdateKind::ApexScale:
    case UpdateKind::Timm:
      *v = m * *v + r * (g + b * *w);
      *w = *w - x.lr * *v;
      break;
  }
}

}  // namespace lockstep::cuda
