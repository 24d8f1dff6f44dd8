// Momentum SGD and Nesterov's form, with the rate inside the velocity.
#pragma once

#include <cstddef>
#include <span>

#include "core/base/error.hpp"

namespace lockstep {

/// What an update needs beside the tensors. step_values() of core/optim/optimizer.hpp fills it from a run.
struct StepValues {
  double lr = 0;
  double base_lr = 0;            ///< peak rate: Fujitsu's LARS multiplies its decay by it
  double weight_decay = 0;       ///< of this step, its schedule applied
  double weight_decay_base = 0;  ///< before its schedule; the trust ratio of Fujitsu's LARS uses it
  double momentum = 0;
  double momentum_scale = 1;  ///< lr_t / lr_{t-1}, or 1
};

/// One step of momentum SGD on one tensor, with s = momentum_scale, b = weight_decay, m = momentum:
///   d = g + b w;  v = m s v + lr d;  plain: w = w - v;  Nesterov: w = w - (m v + lr d) with the new v.
/// Rate inside v and the factor s: Goyal et al. 2017 (arXiv:1706.02677), section 3, remark 2. With s = lr_t / lr_{t-1}
/// and u = v / lr_t this is the form with the rate outside, for any schedule of positive rates:
///   u = m u + d;  plain: w = w - lr u;  Nesterov: w = w - lr (d + m u).
/// `g` is averaged over the true global batch. Spans of equal length; arithmetic in double, rounded once to T (float or
/// double).
template <class T>
void sgd_update(const StepValues& x, bool nesterov, std::span<T> w, std::span<const T> g, std::span<T> v) {
  LOCKSTEP_EXPECTS(w.size() == g.size() && w.size() == v.size());
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double wi = static_cast<double>(w[i]);
    const double step = x.lr * (static_cast<double>(g[i]) + x.weight_decay * wi);
    const double velocity = x.momentum * x.momentum_scale * static_cast<double>(v[i]) + step;
    v[i] = static_cast<T>(velocity);
    w[i] = static_cast<T>(wi - (nesterov ? x.momentum * velocity + step : velocity));
  }
}

}  // namespace lockstep
