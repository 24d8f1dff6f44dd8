// Layer-wise adaptive rate scaling: the optimizers that the literature calls LARS, each as its source has it.
//
// eta = trust coefficient, b = weight decay, m = momentum, n_w = |w|, n_g = |g|, s = lr_t / lr_{t-1}, eps = epsilon.
//
// variant          trust ratio r                             if a norm is 0   velocity and update
// Paper            eta n_w / (n_g + b n_w)                   1                v = m v + lr r (g + b w); w -= v
// MlperfReference  eta n_w / (n_g + b n_w + eps)             1                as Paper
// TfModels         eta n_w / |g + b w|                       1                as Paper
// MxnetMultiLars   eta n_w / (n_g + b n_w + eps)             1: plain rate    v = m s v - lr r (g + b w); w += v
// NvidiaFastV2     as MxnetMultiLars                         1                as MxnetMultiLars; s = 1 where no ratio
// Fujitsu          eta n_w / (n_g + b0 lr0 n_w + eps)        1 if r <= 0      v = m v - r b lr0 w - r lr g; w += v
// ApexLarc         min(r of ApexScale / lr, 1)               r = 1, b = 0     u = m u + r (g + b w); w -= lr u
// ApexScale        eta n_w / (n_g + b n_w + eps)             r = 1, b = 0     as ApexLarc
// Timm             eta n_w / (n_g + b n_w + eps)             1                as ApexLarc; r only where b is not 0
//
// Fujitsu: b0 is the decay before its schedule and lr0 the peak rate (the kernel receives their product as "wd");
// b = b0 c_wd(t), lr = lr0 c_lr(t).
// MXNet and NVIDIA rescale the summed gradient in the kernel; here g is averaged already.
//
// Paper, MlperfReference, TfModels and Fujitsu keep the rate inside the velocity and do not correct it; MxnetMultiLars
// and NvidiaFastV2 correct it. With u = -v / lr the corrected form is u = m u + r (g + b w), w -= lr u: the same as
// ApexScale and Timm ("scaled momentum", arXiv:1909.09756). The two families agree only while the rate is constant. A
// rate of 0 in between breaks the equality: v forgets what u keeps.
//
// Sources: You, Gitman, Ginsburg 2017 (arXiv:1708.03888), algorithm 1 [secondary; it does not say what a zero norm
// does, 1 is everybody else's choice]; mlcommons/training, TF2 reference; tensorflow/models, official LARS with
// classic momentum; MXNet multi_lars with SGDwLARS and SGDwFASTLARS; NVIDIA, MLPerf training v2.0, SGDwFASTLARSV2;
// Fujitsu, mlcommons/training_results_v0.6 (abci_2048xV100_mxnet); NVIDIA/apex LARC; rwightman timm Lars.
#pragma once

#include <optional>
#include <span>

#include "core/model/graph.hpp"
#include "core/optim/sgd.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// What stays fixed during a run.
struct LarsHyper {
  double trust = 0.001;  ///< eta, > 0
  double epsilon = 0;    ///< as the user wrote it, >= 0; see effective_epsilon()
};

/// The eps of the table. Zero takes the source's own: MlperfReference 1e-7 (Keras replaces a zero by it), Fujitsu
/// 1e-9, ApexLarc, ApexScale and Timm 1e-8, MxnetMultiLars and NvidiaFastV2 0. Paper and TfModels have none: 0
/// whatever `epsilon` is.
double effective_epsilon(LarsVariant variant, double epsilon);

/// What a variant does to one kind of tensor.
struct TensorTreatment {
  bool ratio = true;       ///< layer-wise trust ratio; otherwise r = 1
  bool decay = true;       ///< weight decay
  bool correction = true;  ///< momentum correction, where the variant has one
};

/// Weights get everything. Biases, gamma and beta get neither ratio nor decay with `skip`
/// (OptimizerSpec::skip_bias_and_norm), except that MXNet and NVIDIA decay the bias of a fully connected layer
/// (`linear`), though not of a convolution; NVIDIA leaves out the correction where there is no ratio. Apex and timm
/// leave the lists to the caller, who says `skip` or not. Without `skip` all tensors are treated as weights.
TensorTreatment tensor_treatment(LarsVariant variant, TensorRole role, bool linear, bool skip);

/// Euclidean norm, accumulated in double in index order: deterministic, relative error below n 2^-53.
double norm(std::span<const float> x);
double norm(std::span<const double> x);

/// Norms of one tensor, in whatever way a backend computed them (per layer, batched, on the device).
struct LarsNorms {
  double w = 0;
  double g = 0;
  double combined = 0;  ///< |g + b w|; only TfModels reads it
};

/// r of the table; nothing where apex leaves the tensor to plain SGD without decay. Uses lr (ApexLarc), weight_decay,
/// and for Fujitsu weight_decay_base and base_lr of `x`. Norms >= 0; the result is positive and finite. Pure.
std::optional<double> trust_ratio(LarsVariant variant, const LarsHyper& hyper, const StepValues& x,
                                  const LarsNorms& norms);

/// One LARS step on one tensor: norms, ratio, velocity, weights. `v` starts at zero; it holds v or u of the table, with
/// the table's sign. Spans of equal length; arithmetic in double, rounded once to T (float or double).
template <class T>
void lars_update(LarsVariant variant, const LarsHyper& hyper, const TensorTreatment& treatment, const StepValues& x,
                 std::span<T> w, std::span<const T> g, std::span<T> v);

}  // namespace lockstep
