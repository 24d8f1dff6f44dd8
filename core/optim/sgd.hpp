// Momentum SGD and Nesterov's form, with the rate inside the velocity.
#pragma once

#include <cstddef>
#include <span>

#include "core/base/error.hpp"

namespace lockstep {

/// What an update needs beside the tensors.
struct StepValues {
  double lr = 0;
  double base_lr = 0;             ///< peak rate: Fujitsu's LARS multiplies its decay by it
  double weight_decay = 0;        ///< of this step, its schedule applied
  double weight_decay_base = 0;   ///< before its schedule; norms of Fujitsu's LARS use it
  double momentum = 0;
  double momentum_scale = 1;      ///< lr_t / lr_{t-1}, or 1
};

/// v = m s v + lr (g + b w);  w = w - v          (s = momentum_scale; Goyal et al. 2017, equation 10)
/// With s = lr_t / lr_{t-1} this equals u = m u + g + b w; w = w - lr u, PyTorch's form, for any schedule.
/// Nesterov: w = w - (m v + lr (g + b w)) with the new v. Spans of equal length; arithmetic in double, rounded once to T.
template <class T>
void sgd_update(const StepValues& x, bool nesterov, std::span<T> w, std::span<const T> g, std::span<T> v) {
  LOCKSTEP_EXPECTS(w.size() == g.size() && w.size() == v.size());
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double step = x.lr * (static_cast<double>(g[i]) + x.weight_decay * static_cast<double>(w[i]));
    const double velocity = x.momentum * x.momentum_scale * static_cast<double>(v[i]) + step;
    v[i] = static_cast<T>(velocity);
    w[i] = static_cast<T>(static_cast<double>(w[i]) - (nesterov ? x.momentum * velocity + step : velocity));
  }
}

}  // namespace lockstep
