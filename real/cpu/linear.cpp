#include "real/cpu/layer.hpp"

namespace lockstep::cpu {

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

/// Fully connected: the input may still have height and width, which then belong to its features.
class Linear final : public LayerRun {
 public:
  explicit Linear(const Building& b) : in_(b.in()), out_(b.out()), data_gradient_(b.needs_input_gradient()) {
    Context& c = b.context;
    const memory::dims src_dims = in_.data.get_desc().dims();
    memory::dims weight_dims = src_dims;
    weight_dims[0] = b.layer.out.c;
    const bool flat = src_dims.size() == 2;
    src_ = Desc(src_dims, c.type(), Tag::any);
    dst_ = Desc({c.images, b.layer.out.c}, c.type(), Tag::any);
    weights_ = Desc(weight_dims, c.type(), Tag::any);
    bias_ = Desc({b.layer.out.c}, Type::f32, Tag::x);
    pd_ = dnnl::inner_product_forward::primitive_desc(
        dnnl::inner_product_forward::desc(c.forward_kind(), src_, weights_, bias_, dst_), c.attributes, c.engine);
    weight_.id = b.tensor(TensorRole::Weight)->id;
    weight_.plain = Desc(weight_dims, Type::f32, flat ? Tag::oi : Tag::oihw);
    weight_.copies.push_back(c.allocate(pd_.weights_desc()));
    bias_parameter_.id = b.tensor(TensorRole::Bias)->id;
    bias_parameter_.plain = bias_;
    bias_parameter_.copies.push_back(c.allocate(bias_));
    input_ = reordered(c, in_.data, pd_.src_desc());
    out_.data = c.output(pd_.dst_desc());
    forward_ = Call(c, pd_,
                    {{DNNL_ARG_SRC, input_.to},
                     {DNNL_ARG_WEIGHTS, weight_.copies[0]},
                     {DNNL_ARG_BIAS, bias_parameter_.copies[0]},
                     {DNNL_ARG_DST, out_.data}});
  }

  void build_backward(Context& c) override {
    const Desc weights_fp32(weights_.dims(), Type::f32, Tag::any);
    const dnnl::inner_product_backward_weights::primitive_desc wgrad(
        dnnl::inner_product_backward_weights::desc(src_, weights_fp32, bias_, dst_), c.attributes, c.engine, pd_);
    wgrad_input_ = reordered(c, input_.to, wgrad.src_desc());
    wgrad_output_ = reordered(c, out_.gradient, wgrad.diff_dst_desc());
    weight_gradient_ = ParameterGradient(c, weight_.id, weight_.plain, wgrad.diff_weights_desc());
    bias_gradient_ = ParameterGradient(c, bias_parameter_.id, bias_, bias_);
    backward_weights_ = Call(c, wgrad,
                             {{DNNL_ARG_SRC, wgrad_input_.to},
                              {DNNL_ARG_DIFF_DST, wgrad_output_.to},
                              {DNNL_ARG_DIFF_WEIGHTS, weight_gradient_.computed()},
                              {DNNL_ARG_DIFF_BIAS, bias_gradient_.computed()}});
    if (data_gradient_) {
      const dnnl::inner_product_backward_data::primitive_desc dgrad(
          dnnl::inner_product_backward_data::desc(src_, weights_, dst_), c.attributes, c.engine, pd_);
      memory weights = weight_.copies[0];
      if (dgrad.weights_desc() != weights.get_desc()) {
        weights = c.allocate(dgrad.weights_desc());
        weight_.copies.push_back(weights);
      }
      dgrad_output_ = wgrad_output_.to.get_desc() == dgrad.diff_dst_desc()
                          ? Reordered{wgrad_output_.to, {}}
                          : reordered(c, out_.gradient, dgrad.diff_dst_desc());
      slot_ = GradientSlot(c, in_, dgrad.diff_src_desc());
      backward_data_ = Call(
          c, dgrad,
          {{DNNL_ARG_DIFF_DST, dgrad_output_.to}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_SRC, slot_.target()}});
    }
    c.pool.give_back(out_.gradient);
  }

  void load_weights(Context& c, const TensorSet& weights) override {
    weight_.load(c, weights);
    bias_parameter_.load(c, weights);
  }

  void forward(Context& c) override {
    if (input_.call) input_.call(c);
    forward_(c);
  }

  void backward(Context& c, TensorSet& gradients, bool add) override {
    if (wgrad_input_.call) wgrad_input_.call(c);
    if (wgrad_output_.call) wgrad_output_.call(c);
    backward_weights_(c);
    weight_gradient_.deliver(c, gradients, add);
    bias_gradient_.deliver(c, gradients, add);
    if (!data_gradient_) return;
    if (dgrad_output_.call) dgrad_output_.call(c);
    backward_data_(c);
    slot_.add(c);
  }

 private:
  Value &in_, &out_;
  bool data_gradient_;
  Desc src_, dst_, weights_, bias_;
  dnnl::inner_product_forward::primitive_desc pd_;
  Parameter weight_, bias_parameter_;
  Reordered input_, wgrad_input_, wgrad_output_, dgrad_output_;
  Call forward_, backward_weights_, backward_data_;
  ParameterGradient weight_gradient_, bias_gradient_;
  GradientSlot slot_;
};

}  // namespace

std::unique_ptr<LayerRun> make_linear(const Building& b) { return std::make_unique<Linear>(b); }

}  // namespace lockstep::cpu
