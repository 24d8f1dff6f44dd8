#include "real/cuda/kernels/optimizer_rule.hpp"

#include "core/base/error.hpp"
#include "core/optim/lars.hpp"

namespace lockstep::cuda {

namespace {

UpdateKind kind_of(LarsVariant variant) {
  switch (variant) {
    case LarsVariant::Paper: return UpdateKind::Paper;
    case LarsVariant::MlperfReference: return UpdateKind::MlperfReference;
    case LarsVariant::TfModels: return UpdateKind::TfModels;
    case LarsVariant::MxnetMultiLars: return UpdateKind::MxnetMultiLars;
    case LarsVariant::NvidiaFastV2: return UpdateKind::NvidiaFastV2;
    case LarsVariant::Fujitsu: return UpdateKind::Fujitsu;
    case LarsVariant::ApexLarc: return UpdateKind::ApexLarc;
    case LarsVariant::ApexScale: return UpdateKind::ApexScale;
    case LarsVariant::Timm: return UpdateKind::Timm;
  }
  throw InternalError("unknown LARS variant");
}

}  // namespace

UpdateRule update_rule(const OptimizerSpec& o) {
  if (o.kind == OptimizerKind::Sgd) return {UpdateKind::Sgd, 0, 0};
  if (o.kind == OptimizerKind::Nesterov) return {UpdateKind::Nesterov, 0, 0};
  return {kind_of(o.lars_variant), o.trust, effective_epsilon(o.lars_variant, o.epsilon)};
}

int tensor_flags(const OptimizerSpec& o, TensorRole role, bool linear) {
  TensorTreatment t;
  if (o.kind == OptimizerKind::Lars) {
    t = tensor_treatment(o.lars_variant, role, linear, o.skip_bias_and_norm);
  } else {
    t.ratio = false;
    t.decay = role == TensorRole::Weight || !o.skip_bias_and_norm;
    t.correction = o.momentum_correction;
  }
  return (t.ratio ? kTensorRatio : 0) | (t.decay ? kTensorDecay : 0) | (t.correction ? kTensorCorrection : 0);
}

StepValuesDevice step_values_device(const StepValues& x, double images) {
  LOCKSTEP_EXPECTS(images >= 1);
  return {x.lr, x.base_lr, x.weight_decay, x.weight_decay_base, x.momentum, x.momentum_scale, images};
}

}  // namespace lockstep::cuda
