// Layer-wise adaptive rate scaling: the optimizers that the literature calls LARS, each as its source has it.
//
// eta = trust coefficient, b = weight decay, m = momentum, n_w = |w|, n_g = |g|, s = lr_t / lr_{t-1}.
//
// variant           trust ratio r                               if a norm is 0   velocity and update
// Paper             eta n_w / (n_g + b n_w)                     1                v = m v + lr r (g + b w); w -= v
// MlperfReference   eta n_w / (n_g + b n_w + eps)               1                as Paper
// TfModels          eta n_w / |g + b w|                         1                as Paper
// MxnetMultiLars    eta n_w / (n_g + b n_w + eps)               1 (plain rate)   v = m s v - lr r (g + b w); w += v
// NvidiaFastV2      as MxnetMultiLars                           1                as MxnetMultiLars, s only on tensors that have a ratio
// Fujitsu           eta n_w / (n_g + b0 lr0 n_w + eps)          1                v = m v - r b lr0 w - r lr g; w += v   (b follows its own schedule)
// ApexLarc          min(eta n_w / (n_g + b n_w + 1e-8) / lr, 1) no decay either  u = m u + r (g + b w); w -= lr u
// ApexScale         eta n_w / (n_g + b n_w + 1e-8)              no decay either  as ApexLarc
// Timm              eta n_w / (n_g + b n_w + 1e-8)              1                as ApexLarc; ratio only where b > 0
//
// Sources: You, Gitman, Ginsburg 2017 (arXiv:1708.03888, algorithm 1); mlcommons/training TF2 reference; tensorflow/models official LARS; MXNet 1.5
// multi_lars and SGDwLARS; NVIDIA MLPerf v2.0 SGDwFASTLARSV2; Fujitsu MLPerf v0.6 kernels; NVIDIA/apex LARC; timm Lars.
// With u = v / lr, MxnetMultiLars without eps is ApexScale without its 1e-8 ("scaled momentum", Kumar et al. arXiv:1909.09756).
#pragma once

#include <span>

#include "core/model/graph.hpp"
#include "core/optim/sgd.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// What a variant does to one kind of tensor.
struct TensorTreatment {
  bool ratio = true;        ///< layer-wise trust ratio; otherwise r = 1
  bool decay = true;        ///< weight decay
  bool correction = true;   ///< momentum correction, where the variant has one
};
/// `skip` = OptimizerSpec::skip_bias_and_norm. `linear` = the tensor belongs to a fully connected layer: MXNet and NVIDIA decay its bias,
/// though not those of convolutions.
TensorTreatment tensor_treatment(LarsVariant variant, TensorRole role, bool linear, bool skip);

/// Euclidean norm, accumulated in double in index order.
double norm(std::span<const float> x);
double norm(std::span<const double> x);

/// r of the table. `combined` = |g + b w|, used by TfModels only. `x.weight_decay` is b, for Fujitsu `x.weight_decay_base * x.base_lr`.
/// Zero norms as in the table (ApexLarc and ApexScale return 0 to say "left alone"). Pure.
double trust_ratio(LarsVariant variant, double trust, double epsilon, const StepValues& x, double w_norm, double g_norm, double combined);

/// One LARS step on one tensor: norms, ratio, velocity, weights. Spans of equal length; arithmetic in double, rounded once.
template <class T>
void lars_update(LarsVariant variant, double trust, double epsilon, const TensorTreatment& treatment, const StepValues& x, std::span<T> w,
                 std::span<const T> g, std::span<T> v);

}  // namespace lockstep
