// What convolutions and fully connected layers have in common: a weight, perhaps a bias, and three primitives.
#pragma once

#include "real/cpu/layer.hpp"

namespace lockstep::cpu {

/// A derived layer makes the descriptions of its primitives and hands each to build_*(), which gives it memory in the layout it asks for.
class WeightedLayer : public LayerRun {
 public:
  void load_weights(Context& c, const TensorSet& weights) override;
  void forward(Context& c) override;
  void backward(Context& c, TensorSet& gradients, bool add) override;

 protected:
  /// `plain`: the weight in fp32 as a TensorSet has it.
  WeightedLayer(const Building& b, const Desc& plain);

  /// `forward`: a forward primitive description; with a bias exactly if the layer has one.
  template <typename Description>
  void build_forward(Context& c, const Description& forward) {
    weight_.copies.push_back(c.allocate(forward.weights_desc()));
    input_ = reordered(c, in_.data, forward.src_desc());
    out_.data = c.output(forward.dst_desc());
    Arguments arguments{{DNNL_ARG_SRC, input_.to}, {DNNL_ARG_WEIGHTS, weight_.copies[0]}, {DNNL_ARG_DST, out_.data}};
    if (has_bias_) {
      bias_parameter_.copies.push_back(c.allocate(bias_));
      arguments.emplace(DNNL_ARG_BIAS, bias_parameter_.copies[0]);
    }
    forward_ = Call(c, forward, std::move(arguments));
  }

  /// Before build_data_gradient(). The output's gradient is not needed by this layer after both: end with give_back().
  template <typename Description>
  void build_weight_gradient(Context& c, const Description& wgrad) {
    wgrad_input_ = reordered(c, input_.to, wgrad.src_desc());
    wgrad_output_ = reordered(c, out_.gradient, wgrad.diff_dst_desc());
    weight_gradient_ = ParameterGradient(c, weight_.id, weight_.plain, wgrad.diff_weights_desc());
    Arguments arguments{{DNNL_ARG_SRC, wgrad_input_.to},
                        {DNNL_ARG_DIFF_DST, wgrad_output_.to},
                        {DNNL_ARG_DIFF_WEIGHTS, weight_gradient_.computed()}};
    if (has_bias_) {
      bias_gradient_ = ParameterGradient(c, bias_parameter_.id, bias_, bias_);
      arguments.emplace(DNNL_ARG_DIFF_BIAS, bias_gradient_.computed());
    }
    backward_weights_ = Call(c, wgrad, std::move(arguments));
  }

  template <typename Description>
  void build_data_gradient(Context& c, const Description& dgrad) {
    dnnl::memory weights = weight_.copies[0];
    if (dgrad.weights_desc() != weights.get_desc()) {
      weights = c.allocate(dgrad.weights_desc());
      weight_.copies.push_back(weights);
    }
    dgrad_output_ = wgrad_output_.to.get_desc() == dgrad.diff_dst_desc()
                        ? Reordered{wgrad_output_.to, {}}
                        : reordered(c, out_.gradient, dgrad.diff_dst_desc());
    slot_ = GradientSlot(c, in_, dgrad.diff_src_desc());
    backward_data_ =
        Call(c, dgrad,
             {{DNNL_ARG_DIFF_DST, dgrad_output_.to}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_SRC, slot_.target()}});
  }
  void give_back(Context& c) { c.pool.give_back(out_.gradient); }

  Value &in_, &out_;
  bool has_bias_, data_gradient_;
  Desc bias_;
  /// Gradients of weights stay fp32, in the layout that the primitive likes.
  Desc weight_gradient_desc() const;

 private:
  Parameter weight_, bias_parameter_;
  Reordered input_, wgrad_input_, wgrad_output_, dgrad_output_;
  Call forward_, backward_weights_, backward_data_;
  ParameterGradient weight_gradient_, bias_gradient_;
  GradientSlot slot_;
};

}  // namespace lockstep::cpu
