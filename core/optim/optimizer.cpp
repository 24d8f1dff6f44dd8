#include "core/optim/optimizer.hpp"

#include "core/optim/lars.hpp"

namespace lockstep {

StepValues step_values(const OptimizerSpec& optimizer, double peak, double lr, double weight_decay,
                       double momentum_scale) {
  return {lr, peak, weight_decay, optimizer.weight_decay, optimizer.momentum, momentum_scale};
}

template <class T>
void update_tensor(const OptimizerSpec& o, TensorRole role, bool linear, const StepValues& values, std::span<T> weights,
                   std::span<const T> gradient, std::span<T> velocity) {
  if (o.kind == OptimizerKind::Lars) {
    const auto treatment = tensor_treatment(o.lars_variant, role, linear, o.skip_bias_and_norm);
    lars_update<T>(o.lars_variant, {o.trust, o.epsilon}, treatment, values, weights, gradient, velocity);
    return;
  }
  StepValues x = values;
  if (role != TensorRole::Weight && o.skip_bias_and_norm) x.weight_decay = 0;
  if (!o.momentum_correction) x.momentum_scale = 1;
  sgd_update<T>(x, o.kind == OptimizerKind::Nesterov, weights, gradient, velocity);
}

template void update_tensor<float>(const OptimizerSpec&, TensorRole, bool, const StepValues&, std::span<float>,
                                   std::span<const float>, std::span<float>);
template void update_tensor<double>(const OptimizerSpec&, TensorRole, bool, const StepValues&, std::span<double>,
                                    std::span<const double>, std::span<double>);

}  // namespace lockstep
