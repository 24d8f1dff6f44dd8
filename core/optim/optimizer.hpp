// One entry for every optimizer: the oracle that every backend's kernel is tested against.
#pragma once

#include <span>

#include "core/model/graph.hpp"
#include "core/optim/sgd.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Updates one parameter tensor in place from its averaged gradient; `velocity` starts at zero. `linear`: it belongs to a fully connected layer.
/// SGD and Nesterov skip the decay of biases, gamma and beta with `skip_bias_and_norm`; LARS as core/optim/lars.hpp says.
template <class T>
void update_tensor(const OptimizerSpec& optimizer, TensorRole role, bool linear, const StepValues& values, std::span<T> weights,
                   std::span<const T> gradient, std::span<T> velocity);

}  // namespace lockstep
