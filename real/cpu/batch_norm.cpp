#include <algorithm>
#include <cstring>

#include "real/cpu/elementwise.hpp"
#include "real/cpu/layer.hpp"

namespace lockstep::cpu {

namespace {

using dnnl::memory;
using dnnl::normalization_flags;
using Tag = memory::format_tag;
using Type = memory::data_type;

/// Batch norm alone, with ReLU, or with addition and ReLU. oneDNN 2.6 has no fused addition: it follows in place.
class BatchNorm final : public LayerRun {
 public:
  explicit BatchNorm(const Building& b)
      : id_(b.layer.id),
        in_(b.in()),
        other_(b.layer.fused_add ? &b.in(1) : nullptr),
        out_(b.out()),
        data_gradient_(b.needs_input_gradient()),
        epsilon_(static_cast<float>(b.context.options.norm_epsilon)) {
    Context& c = b.context;
    const Desc src = in_.data.get_desc();
    fused_relu_ = b.layer.fused_relu && !b.layer.fused_add;
    added_relu_ = b.layer.fused_relu && b.layer.fused_add;
    flags_ = normalization_flags::use_scale | normalization_flags::use_shift;
    if (!c.training()) flags_ |= normalization_flags::use_global_stats;
    if (fused_relu_) flags_ |= normalization_flags::fuse_norm_relu;
    pd_ = dnnl::batch_normalization_forward::primitive_desc(
        dnnl::batch_normalization_forward::desc(c.forward_kind(), src, epsilon_, flags_), c.attributes, c.engine);
    const Desc channels({b.layer.out.c}, Type::f32, Tag::x);
    count_ = static_cast<double>(c.images) * b.layer.out.h * b.layer.out.w;
    gamma_.id = b.tensor(TensorRole::Gamma)->id;
    gamma_.plain = channels;
    gamma_.copies.push_back(c.allocate(channels));
    beta_.id = b.tensor(TensorRole::Beta)->id;
    beta_.plain = channels;
    beta_.copies.push_back(c.allocate(channels));
    mean_ = c.allocate(pd_.mean_desc());
    variance_ = c.allocate(pd_.variance_desc());
    out_.data = c.output(pd_.dst_desc());
    Arguments arguments{
        {DNNL_ARG_SRC, in_.data},          {DNNL_ARG_DST, out_.data}, {DNNL_ARG_SCALE, gamma_.copies[0]},
        {DNNL_ARG_SHIFT, beta_.copies[0]}, {DNNL_ARG_MEAN, mean_},    {DNNL_ARG_VARIANCE, variance_}};
    if (fused_relu_ && c.training()) {
      workspace_ = c.allocate(pd_.workspace_desc());
      arguments.emplace(DNNL_ARG_WORKSPACE, workspace_);
    }
    forward_ = Call(c, pd_, std::move(arguments));
    if (other_ != nullptr) addend_ = reordered(c, other_->data, out_.data.get_desc());
  }

  void build_backward(Context& c) override {
    const Desc data = in_.data.get_desc();
    // What comes back through the ReLU goes unchanged to the other input of the addition.
    output_ = reordered(c, out_.gradient, data);
    const dnnl::batch_normalization_backward::primitive_desc pd(
        dnnl::batch_normalization_backward::desc(dnnl::prop_kind::backward, data, data, epsilon_, flags_), c.attributes,
        c.engine, pd_);
    const Desc channels = gamma_.plain;
    gamma_gradient_ = ParameterGradient(c, gamma_.id, channels, channels);
    beta_gradient_ = ParameterGradient(c, beta_.id, channels, channels);
    if (other_ != nullptr && !other_->gradient) {
      other_->gradient = output_.to;  // the buffer becomes the other input's gradient once this layer is done with it
      handed_over_ = true;
    } else if (other_ != nullptr) {
      other_slot_ = GradientSlot(c, *other_, data);
      to_other_ = copy_of(c, output_.to, other_slot_.target());
    }
    slot_ = GradientSlot(c, in_, data);
    Arguments arguments{{DNNL_ARG_SRC, in_.data},
                        {DNNL_ARG_MEAN, mean_},
                        {DNNL_ARG_VARIANCE, variance_},
                        {DNNL_ARG_SCALE, gamma_.copies[0]},
                        {DNNL_ARG_SHIFT, beta_.copies[0]},
                        {DNNL_ARG_DIFF_DST, output_.to},
                        {DNNL_ARG_DIFF_SRC, slot_.target()},
                        {DNNL_ARG_DIFF_SCALE, gamma_gradient_.computed()},
                        {DNNL_ARG_DIFF_SHIFT, beta_gradient_.computed()}};
    if (fused_relu_) arguments.emplace(DNNL_ARG_WORKSPACE, workspace_);
    backward_ = Call(c, pd, std::move(arguments));
    if (!handed_over_ || output_.call) c.pool.give_back(out_.gradient);
  }

  void load_weights(Context& c, const TensorSet& weights) override {
    gamma_.load(c, weights);
    beta_.load(c, weights);
  }

  void forward(Context& c) override {
    const auto channels = static_cast<std::size_t>(gamma_.plain.dims()[0]);
    float* mean = static_cast<float*>(mean_.get_data_handle());
    float* variance = static_cast<float*>(variance_.get_data_handle());
    const auto average_mean = c.statistics->mean(id_), average_variance = c.statistics->variance(id_);
    if (!c.training()) {
      std::copy(average_mean.begin(), average_mean.end(), mean);
      std::copy(average_variance.begin(), average_variance.end(), variance);
    }
    forward_(c);
    if (added_relu_) {
      if (addend_.call) addend_.call(c);
      add_relu(out_.data, addend_.to, c.options.threads);
    }
    if (!c.training()) return;
    const double keep = c.options.norm_momentum, unbiased = count_ > 1 ? count_ / (count_ - 1) : 1;
    for (std::size_t i = 0; i < channels; ++i) {
      average_mean[i] = static_cast<float>(keep * average_mean[i] + (1 - keep) * mean[i]);
      average_variance[i] = static_cast<float>(keep * average_variance[i] + (1 - keep) * unbiased * variance[i]);
    }
  }

  void backward(Context& c, TensorSet& gradients, bool add) override {
    if (output_.call) output_.call(c);
    if (added_relu_) mask_by_sign(output_.to, out_.data, c.options.threads);
    if (to_other_) {
      to_other_(c);
      other_slot_.add(c);
    }
    backward_(c);
    slot_.add(c);
    gamma_gradient_.deliver(c, gradients, add);
    beta_gradient_.deliver(c, gradients, add);
  }

 private:
  LayerId id_;
  Value &in_, *other_, &out_;
  bool data_gradient_, fused_relu_ = false, added_relu_ = false, handed_over_ = false;
  float epsilon_;
  double count_ = 1;
  normalization_flags flags_{};
  dnnl::batch_normalization_forward::primitive_desc pd_;
  Parameter gamma_, beta_;
  memory mean_, variance_, workspace_;
  Reordered addend_, output_;
  Call forward_, backward_, to_other_;
  ParameterGradient gamma_gradient_, beta_gradient_;
  GradientSlot slot_, other_slot_;
};

}  // namespace

std::unique_ptr<LayerRun> make_batch_norm(const Building& b) { return std::make_unique<BatchNorm>(b); }

}  // namespace lockstep::cpu
