#include "core/optim/lars.hpp"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

template <class T>
double norm_of(std::span<const T> x) {
  double sum = 0;
  for (T v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

template <class T>
double combined_norm(std::span<const T> w, std::span<const T> g, double decay) {
  double sum = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double c = static_cast<double>(g[i]) + decay * static_cast<double>(w[i]);
    sum += c * c;
  }
  return std::sqrt(sum);
}

bool is_mxnet(LarsVariant v) { return v == LarsVariant::MxnetMultiLars || v == LarsVariant::NvidiaFastV2; }

bool rate_outside(LarsVariant v) {
  return v == LarsVariant::ApexLarc || v == LarsVariant::ApexScale || v == LarsVariant::Timm;
}

}  // namespace

double effective_epsilon(LarsVariant variant, double epsilon) {
  switch (variant) {
    case LarsVariant::Paper:
    case LarsVariant::TfModels: return 0;
    case LarsVariant::MxnetMultiLars:
    case LarsVariant::NvidiaFastV2: return epsilon;
    case LarsVariant::MlperfReference: return epsilon > 0 ? epsilon : 1e-7;
    case LarsVariant::Fujitsu: return epsilon > 0 ? epsilon : 1e-9;
    case LarsVariant::ApexLarc:
    case LarsVariant::ApexScale:
    case LarsVariant::Timm: return epsilon > 0 ? epsilon : 1e-8;
  }
  return epsilon;
}

double norm(std::span<const float> x) { return norm_of(x); }
double norm(std::span<const double> x) { return norm_of(x); }

TensorTreatment tensor_treatment(LarsVariant variant, TensorRole role, bool linear, bool skip) {
  TensorTreatment t;
  if (role == TensorRole::Weight || !skip) return t;
  t.ratio = false;
  t.decay = is_mxnet(variant) && role == TensorRole::Bias && linear;
  t.correction = variant != LarsVariant::NvidiaFastV2;
  return t;
}

std::optional<double> trust_ratio(LarsVariant variant, const LarsHyper& hyper, const StepValues& x,
                                  const LarsNorms& norms) {
  const bool zero = norms.w == 0 || norms.g == 0;
  const double eps = effective_epsilon(variant, hyper.epsilon);
  const double scaled = hyper.trust * norms.w;
  const double usual = scaled / (norms.g + x.weight_decay * norms.w + eps);
  switch (variant) {
    case LarsVariant::Paper:
    case LarsVariant::MlperfReference:
    case LarsVariant::MxnetMultiLars:
    case LarsVariant::NvidiaFastV2: return zero ? 1 : usual;
    case LarsVariant::TfModels: return norms.w == 0 || norms.combined == 0 ? 1 : scaled / norms.combined;
    case LarsVariant::Fujitsu: {
      const double r = scaled / (norms.g + x.weight_decay_base * x.base_lr * norms.w + eps);
      return r > 0 && std::isfinite(r) ? r : 1;
    }
    case LarsVariant::ApexLarc:
      if (zero) return std::nullopt;
      return x.lr > 0 ? std::min(usual / x.lr, 1.0) : 1.0;
    case LarsVariant::ApexScale:
      if (zero) return std::nullopt;
      return usual;
    case LarsVariant::Timm: return zero || x.weight_decay == 0 ? 1 : usual;
  }
  return 1;
}

template <class T>
void lars_update(LarsVariant variant, const LarsHyper& hyper, const TensorTreatment& treatment, const StepValues& given,
                 std::span<T> w, std::span<const T> g, std::span<T> v) {
  LOCKSTEP_EXPECTS(w.size() == g.size() && w.size() == v.size());
  StepValues x = given;
  if (!treatment.decay) x.weight_decay = x.weight_decay_base = 0;
  double r = 1;
  if (treatment.ratio) {
    const std::span<const T> weights(w);
    LarsNorms norms{norm(weights), norm(g), 0};
    if (variant == LarsVariant::TfModels) norms.combined = combined_norm(weights, g, x.weight_decay);
    const auto ratio = trust_ratio(variant, hyper, x, norms);
    r = ratio.value_or(1);
    if (!ratio) x.weight_decay = 0;
  }
  const double b = x.weight_decay;
  const double m = x.momentum * (is_mxnet(variant) && treatment.correction ? x.momentum_scale : 1);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double wi = static_cast<double>(w[i]), gi = static_cast<double>(g[i]), vi = static_cast<double>(v[i]);
    double velocity = 0, next = 0;
    if (rate_outside(variant)) {
      velocity = m * vi + r * (gi + b * wi);
      next = wi - x.lr * velocity;
    } else if (variant == LarsVariant::Fujitsu) {
      velocity = m * vi - r * b * x.base_lr * wi - r * x.lr * gi;
      next = wi + velocity;
    } else if (is_mxnet(variant)) {
      velocity = m * vi - x.lr * r * (gi + b * wi);
      next = wi + velocity;
    } else {
      velocity = m * vi + x.lr * r * (gi + b * wi);
      next = wi - velocity;
    }
    v[i] = static_cast<T>(velocity);
    w[i] = static_cast<T>(next);
  }
}

template void lars_update<float>(LarsVariant, const LarsHyper&, const TensorTreatment&, const StepValues&,
                                 std::span<float>, std::span<const float>, std::span<float>);
template void lars_update<double>(LarsVariant, const LarsHyper&, const TensorTreatment&, const StepValues&,
                                  std::span<double>, std::span<const double>, std::span<double>);

}  // namespace lockstep
