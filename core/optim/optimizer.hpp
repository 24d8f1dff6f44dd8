// One entry for every optimizer: the oracle that every backend's kernel is tested against.
#pragma once

#include <span>

#include "core/model/graph.hpp"
#include "core/optim/sgd.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// The values of one step: momentum and the unscheduled decay from the run file; rate, decay and momentum scale as the
/// training loop hands them over (StepArgs); `peak` = peak_rate() of core/optim/lr_schedule.hpp. Pure.
StepValues step_values(const OptimizerSpec& optimizer, double peak, double lr, double weight_decay,
                       double momentum_scale);

/// Updates one parameter tensor in place from its averaged gradient; `velocity` starts at zero. `linear`: it belongs
/// to a fully connected layer. SGD and Nesterov skip the decay of biases, gamma and beta with `skip_bias_and_norm` and
/// scale the momentum only with `momentum_correction` (core/optim/sgd.hpp); LARS as core/optim/lars.hpp says. T is
/// float or double. Pure.
template <class T>
void update_tensor(const OptimizerSpec& optimizer, TensorRole role, bool linear, const StepValues& values,
                   std::span<T> weights, std::span<const T> gradient, std::span<T> velocity);

}  // namespace lockstep
