#include "real/cpu/weighted_layer.hpp"

namespace lockstep::cpu {

using dnnl::memory;

WeightedLayer::WeightedLayer(const Building& b, const Desc& plain)
    : in_(b.in()),
      out_(b.out()),
      has_bias_(b.tensor(TensorRole::Bias) != nullptr),
      data_gradient_(b.needs_input_gradient()),
      bias_({b.layer.out.c}, memory::data_type::f32, memory::format_tag::x) {
  weight_.id = b.tensor(TensorRole::Weight)->id;
  weight_.plain = plain;
  if (has_bias_) {
    bias_parameter_.id = b.tensor(TensorRole::Bias)->id;
    bias_parameter_.plain = bias_;
  }
}

Desc WeightedLayer::weight_gradient_desc() const {
  return Desc(weight_.plain.dims(), memory::data_type::f32, memory::format_tag::any);
}

void WeightedLayer::load_weights(Context& c, const TensorSet& weights) {
  weight_.load(c, weights);
  bias_parameter_.load(c, weights);
}

void WeightedLayer::forward(Context& c) {
  if (input_.call) input_.call(c);
  forward_(c);
}

void WeightedLayer::backward(Context& c, TensorSet& gradients, bool add) {
  if (wgrad_input_.call) wgrad_input_.call(c);
  if (wgrad_output_.call) wgrad_output_.call(c);
  backward_weights_(c);
  weight_gradient_.deliver(c, gradients, add);
  if (has_bias_) bias_gradient_.deliver(c, gradients, add);
  if (!data_gradient_) return;
  if (dgrad_output_.call) dgrad_output_.call(c);
  backward_data_(c);
  slot_.add(c);
}

}  // namespace lockstep::cpu
