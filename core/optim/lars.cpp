#include "core/optim/lars.hpp"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

constexpr double kApexEpsilon = 1e-8;   // fixed in apex and timm

template <class T>
double norm_of(std::span<const T> x) {
  double sum = 0;
  for (T v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

bool rate_outside(LarsVariant v) { return v == LarsVariant::ApexLarc || v == LarsVariant::ApexScale || v == LarsVariant::Timm; }

}  // namespace

double norm(std::span<const float> x) { return norm_of(x); }
double norm(std::span<const double> x) { return norm_of(x); }

TensorTreatment tensor_treatment(LarsVariant variant, TensorRole role, bool linear, bool skip) {
  TensorTreatment t;
  if (role == TensorRole::Weight || !skip) return t;
  t.ratio = false;
  t.decay = (variant == LarsVariant::MxnetMultiLars || variant == LarsVariant::NvidiaFastV2) && role == TensorRole::Bias && linear;
  t.correction = variant != LarsVariant::NvidiaFastV2;
  return t;
}

double trust_ratio(LarsVariant variant, double trust, double epsilon, const StepValues& x, double w_norm, double g_norm, double combined) {
  const double b = x.weight_decay;
  const bool zero = w_norm == 0 || g_norm == 0;
  switch (variant) {
    case LarsVariant::Paper: return zero ? 1 : trust * w_norm / (g_norm + b * w_norm);
    case LarsVariant::MlperfReference:
    case LarsVariant::MxnetMultiLars:
    case LarsVariant::NvidiaFastV2: return zero ? 1 : trust * w_norm / (g_norm + b * w_norm + epsilon);
    case LarsVariant::TfModels: return w_norm == 0 || combined == 0 ? 1 : trust * w_norm / combined;
    case LarsVariant::Fujitsu: {
      const double r = trust * w_norm / (g_norm + x.weight_decay_base * x.base_lr * w_norm + epsilon);
      return r > 0 && std::isfinite(r) ? r : 1;
    }
    case LarsVariant::ApexLarc: return zero ? 0 : std::min(trust * w_norm / (g_norm + b * w_norm + kApexEpsilon) / x.lr, 1.0);
    case LarsVariant::ApexScale: return zero ? 0 : trust * w_norm / (g_norm + b * w_norm + kApexEpsilon);
    case LarsVariant::Timm: return zero || b == 0 ? 1 : trust * w_norm / (g_norm + b * w_norm + kApexEpsilon);
  }
  return 1;
}

template <class T>
void lars_update(LarsVariant variant, double trust, double epsilon, const TensorTreatment& treatment, const StepValues& given, std::span<T> w,
                 std::span<const T> g, std::span<T> v) {
  LOCKSTEP_EXPECTS(w.size() == g.size() && w.size() == v.size());
  StepValues x = given;
  if (!treatment.decay) x.weight_decay = x.weight_decay_base = 0;
  double r = 1, b = x.weight_decay;
  if (treatment.ratio) {
    double combined = 0;
    if (variant == LarsVariant::TfModels) {
      for (std::size_t i = 0; i < w.size(); ++i) {
        const double c = static_cast<double>(g[i]) + b * static_cast<double>(w[i]);
        combined += c * c;
      }
    }
    r = trust_ratio(variant, trust, epsilon, x, norm(std::span<const T>(w)), norm(g), std::sqrt(combined));
    if (r == 0) {  // apex leaves such a tensor to plain SGD without decay
      r = 1;
      b = 0;
    }
  }
  const bool corrects = (variant == LarsVariant::MxnetMultiLars || variant == LarsVariant::NvidiaFastV2) && treatment.correction;
  const double m = x.momentum * (corrects ? x.momentum_scale : 1);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double wi = static_cast<double>(w[i]), gi = static_cast<double>(g[i]), vi = static_cast<double>(v[i]);
    if (rate_outside(variant)) {
      const double u = m * vi + r * (gi + b * wi);
      v[i] = static_cast<T>(u);
      w[i] = static_cast<T>(wi - x.lr * u);
    } else if (variant == LarsVariant::Fujitsu) {
      const double u = m * vi - r * b * x.base_lr * wi - r * x.lr * gi;
      v[i] = static_cast<T>(u);
      w[i] = static_cast<T>(wi + u);
    } else {
      const double sign = variant == LarsVariant::MxnetMultiLars || variant == LarsVariant::NvidiaFastV2 ? -1 : 1;
      const double u = m * vi + sign * x.lr * r * (gi + b * wi);
      v[i] = static_cast<T>(u);
      w[i] = static_cast<T>(wi - sign * u);
    }
  }
}

template void lars_update<float>(LarsVariant, double, double, const TensorTreatment&, const StepValues&, std::span<float>, std::span<const float>, std::span<float>);
template void lars_update<double>(LarsVariant, double, double, const TensorTreatment&, const StepValues&, std::span<double>, std::span<const double>, std::span<double>);

}  // namespace lockstep
