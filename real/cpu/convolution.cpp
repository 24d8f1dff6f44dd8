#include "real/cpu/weighted_layer.hpp"

namespace lockstep::cpu {

namespace {

using dnnl::algorithm;
using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

memory::dims weight_dims(const Layer& l) {
  if (l.groups > 1) return {l.groups, l.out.c / l.groups, l.in.c / l.groups, l.r, l.s};
  return {l.out.c, l.in.c, l.r, l.s};
}

class Convolution final : public WeightedLayer {
 public:
  explicit Convolution(const Building& b)
      : WeightedLayer(b, Desc(weight_dims(b.layer), Type::f32, b.layer.groups > 1 ? Tag::goihw : Tag::oihw)) {
    using Forward = dnnl::convolution_forward;
    Context& c = b.context;
    const Layer& l = b.layer;
    strides_ = {l.stride, l.stride};
    pads_ = {l.pad, l.pad};
    src_ = Desc(b.dims(l.in), c.type(), Tag::any);
    dst_ = Desc(b.dims(l.out), c.type(), Tag::any);
    weights_ = Desc(weight_dims(l), c.type(), Tag::any);
    algorithm_ = c.options.deterministic ? algorithm::convolution_direct : algorithm::convolution_auto;
    const auto kind = c.forward_kind();
    description_ = Forward::primitive_desc(
        has_bias_ ? Forward::desc(kind, algorithm_, src_, weights_, bias_, dst_, strides_, pads_, pads_)
                  : Forward::desc(kind, algorithm_, src_, weights_, dst_, strides_, pads_, pads_),
        c.attributes, c.engine);
    build_forward(c, description_);
  }

  void build_backward(Context& c) override {
    using Weights = dnnl::convolution_backward_weights;
    using Data = dnnl::convolution_backward_data;
    const Desc weights = weight_gradient_desc();
    build_weight_gradient(
        c, Weights::primitive_desc(has_bias_
                                       ? Weights::desc(algorithm_, src_, weights, bias_, dst_, strides_, pads_, pads_)
                                       : Weights::desc(algorithm_, src_, weights, dst_, strides_, pads_, pads_),
                                   c.attributes, c.engine, description_));
    if (data_gradient_)
      build_data_gradient(c, Data::primitive_desc(Data::desc(algorithm_, src_, weights_, dst_, strides_, pads_, pads_),
                                                  c.attributes, c.engine, description_));
    give_back(c);
  }

 private:
  memory::dims strides_, pads_;
  Desc src_, dst_, weights_;
  algorithm algorithm_;
  dnnl::convolution_forward::primitive_desc description_;
};

}  // namespace

std::unique_ptr<LayerRun> make_convolution(const Building& b) { return std::make_unique<Convolution>(b); }

}  // namespace lockstep::cpu
