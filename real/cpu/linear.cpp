#include "real/cpu/weighted_layer.hpp"

namespace lockstep::cpu {

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

/// The input may still have height and width, which then belong to its features.
Desc plain_weights(const Building& b) {
  memory::dims dims = b.in().data.get_desc().dims();
  dims[0] = b.layer.out.c;
  return Desc(dims, Type::f32, dims.size() == 2 ? Tag::oi : Tag::oihw);
}

/// Fully connected.
class Linear final : public WeightedLayer {
 public:
  explicit Linear(const Building& b) : WeightedLayer(b, plain_weights(b)) {
    using Forward = dnnl::inner_product_forward;
    Context& c = b.context;
    src_ = Desc(in_.data.get_desc().dims(), c.type(), Tag::any);
    dst_ = Desc({c.images, b.layer.out.c}, c.type(), Tag::any);
    weights_ = Desc(plain_weights(b).dims(), c.type(), Tag::any);
    description_ =
        Forward::primitive_desc(Forward::desc(c.forward_kind(), src_, weights_, bias_, dst_), c.attributes, c.engine);
    build_forward(c, description_);
  }

  void build_backward(Context& c) override {
    using Weights = dnnl::inner_product_backward_weights;
    using Data = dnnl::inner_product_backward_data;
    build_weight_gradient(c, Weights::primitive_desc(Weights::desc(src_, weight_gradient_desc(), bias_, dst_),
                                                     c.attributes, c.engine, description_));
    if (data_gradient_)
      build_data_gradient(c,
                          Data::primitive_desc(Data::desc(src_, weights_, dst_), c.attributes, c.engine, description_));
    give_back(c);
  }

 private:
  Desc src_, dst_, weights_;
  dnnl::inner_product_forward::primitive_desc description_;
};

}  // namespace

std::unique_ptr<LayerRun> make_linear(const Building& b) { return std::make_unique<Linear>(b); }

}  // namespace lockstep::cpu
