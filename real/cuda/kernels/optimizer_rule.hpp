// From core's words for an optimizer to the device's.
#pragma once

#include "core/model/graph.hpp"
#include "core/optim/sgd.hpp"
#include "core/spec/run_spec.hpp"
#include "real/cuda/kernels/optimizer_table.cuh"

namespace lockstep::cuda {

/// The rule of a run's optimizer. Pure.
UpdateRule update_rule(const OptimizerSpec& optimizer);

/// TensorEntry::flags of one tensor, as update_tensor() of core/optim/optimizer.hpp treats it. `linear`: it belongs to
/// a fully connected layer. Pure.
int tensor_flags(const OptimizerSpec& optimizer, TensorRole role, bool linear);

/// core's step values (step_values()) and the divisor. Pure.
StepValuesDevice step_values_device(const StepValues& values, double images);

}  // namespace lockstep::cuda
