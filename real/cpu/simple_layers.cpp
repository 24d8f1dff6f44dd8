// Layers without parameters: ReLU, addition, pooling, local response normalisation, dropout.
#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "real/cpu/layer.hpp"

namespace lockstep::cpu {

namespace {

using dnnl::algorithm;
using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

/// One input, one output, no parameters. A derived layer makes the calls; here they run.
class OneToOne : public LayerRun {
 public:
  void forward(Context& c) override { forward_(c); }
  void backward(Context& c, TensorSet&, bool) override {
    if (output_.call) output_.call(c);
    backward_(c);
    slot_.add(c);
  }

 protected:
  explicit OneToOne(const Building& b) : in_(b.in()), out_(b.out()) {}

  /// The call of the backward pass: reads the output's gradient in layout `from` and writes the input's in layout `to`. Says which
  /// arguments those two are, and gives all others.
  template <typename Description>
  void build(Context& c, const Description& description, int read, const Desc& from, int written, const Desc& to,
             Arguments arguments) {
    output_ = reordered(c, out_.gradient, from);
    slot_ = GradientSlot(c, in_, to);
    arguments.emplace(read, output_.to);
    arguments.emplace(written, slot_.target());
    backward_ = Call(c, description, std::move(arguments));
    c.pool.give_back(out_.gradient);
  }
  template <typename Description>
  void build(Context& c, const Description& description, Arguments arguments) {
    build(c, description, DNNL_ARG_DIFF_DST, description.diff_dst_desc(), DNNL_ARG_DIFF_SRC,
          description.diff_src_desc(), std::move(arguments));
  }

  Value &in_, &out_;
  Call forward_;

 private:
  Reordered output_;
  Call backward_;
  GradientSlot slot_;
};

/// A forward call that may leave notes for the backward pass.
struct Workspace {
  memory notes;
  template <typename Description>
  void allocate(Context& c, const Description& description, Arguments& arguments) {
    if (description.workspace_desc().get_size() == 0) return;
    notes = c.allocate(description.workspace_desc());
    arguments.emplace(DNNL_ARG_WORKSPACE, notes);
  }
  void add_to(Arguments& arguments) const {
    if (notes) arguments.emplace(DNNL_ARG_WORKSPACE, notes);
  }
};

class Relu final : public OneToOne {
 public:
  explicit Relu(const Building& b) : OneToOne(b) {
    Context& c = b.context;
    const Desc data = in_.data.get_desc();
    description_ = dnnl::eltwise_forward::primitive_desc(
        dnnl::eltwise_forward::desc(c.forward_kind(), algorithm::eltwise_relu, data, 0.0f), c.attributes, c.engine);
    out_.data = c.output(data);
    forward_ = Call(c, description_, {{DNNL_ARG_SRC, in_.data}, {DNNL_ARG_DST, out_.data}});
  }
  void build_backward(Context& c) override {
    const Desc data = in_.data.get_desc();
    const dnnl::eltwise_backward::desc desc(algorithm::eltwise_relu, data, data, 0.0f);
    build(c, dnnl::eltwise_backward::primitive_desc(desc, c.attributes, c.engine, description_),
          {{DNNL_ARG_SRC, in_.data}});
  }

 private:
  dnnl::eltwise_forward::primitive_desc description_;
};

class Add final : public LayerRun {
 public:
  explicit Add(const Building& b) : a_(b.in(0)), b_(b.in(1)), out_(b.out()) {
    Context& c = b.context;
    const Desc first = a_.data.get_desc();
    out_.data = c.output(first);
    const dnnl::sum::primitive_desc pd(first, {1.0f, 1.0f}, {first, b_.data.get_desc()}, c.engine, c.attributes);
    forward_ = Call(
        c, pd, {{DNNL_ARG_MULTIPLE_SRC, a_.data}, {DNNL_ARG_MULTIPLE_SRC + 1, b_.data}, {DNNL_ARG_DST, out_.data}});
  }
  void build_backward(Context& c) override {
    const Desc desc = out_.gradient.get_desc();
    for (Value* input : {&a_, &b_}) {
      Way& way = ways_[input == &a_ ? 0 : 1];
      way.slot = GradientSlot(c, *input, desc);
      way.copy = copy_of(c, out_.gradient, way.slot.target());
    }
    c.pool.give_back(out_.gradient);
  }
  void forward(Context& c) override { forward_(c); }
  void backward(Context& c, TensorSet&, bool) override {
    for (const Way& way : ways_) {
      way.copy(c);
      way.slot.add(c);
    }
  }

 private:
  struct Way {
    GradientSlot slot;
    Call copy;
  };
  Value &a_, &b_, &out_;
  Call forward_;
  Way ways_[2];
};

class Pooling final : public OneToOne {
 public:
  explicit Pooling(const Building& b) : OneToOne(b) {
    Context& c = b.context;
    const Layer& l = b.layer;
    const bool global = l.r == 0;
    algorithm_ = l.kind == LayerKind::MaxPool ? algorithm::pooling_max : algorithm::pooling_avg_exclude_padding;
    kernel_ = global ? memory::dims{l.in.h, l.in.w} : memory::dims{l.r, l.s};
    strides_ = global ? memory::dims{1, 1} : memory::dims{l.stride, l.stride};
    pads_ = global ? memory::dims{0, 0} : memory::dims{l.pad, l.pad};
    const Desc dst(b.dims(l.out), c.type(), Tag::any);
    description_ = dnnl::pooling_forward::primitive_desc(
        dnnl::pooling_forward::desc(c.forward_kind(), algorithm_, in_.data.get_desc(), dst, strides_, kernel_, pads_,
                                    pads_),
        c.attributes, c.engine);
    out_.data = c.output(description_.dst_desc());
    Arguments arguments{{DNNL_ARG_SRC, in_.data}, {DNNL_ARG_DST, out_.data}};
    workspace_.allocate(c, description_, arguments);
    forward_ = Call(c, description_, std::move(arguments));
  }
  void build_backward(Context& c) override {
    const dnnl::pooling_backward::desc desc(algorithm_, in_.data.get_desc(), out_.data.get_desc(), strides_, kernel_,
                                            pads_, pads_);
    Arguments arguments;
    workspace_.add_to(arguments);
    build(c, dnnl::pooling_backward::primitive_desc(desc, c.attributes, c.engine, description_), std::move(arguments));
  }

 private:
  algorithm algorithm_;
  memory::dims kernel_, strides_, pads_;
  dnnl::pooling_forward::primitive_desc description_;
  Workspace workspace_;
};

/// b = a / (2 + 1e-4 sum of a^2 over 5 channels)^0.75 (Krizhevsky et al. 2012, section 3.3). oneDNN divides its alpha by the window.
class Lrn final : public OneToOne {
  static constexpr int kWindow = 5;
  static constexpr float kAlpha = 1e-4f * kWindow, kBeta = 0.75f, kBias = 2.0f;

 public:
  explicit Lrn(const Building& b) : OneToOne(b) {
    Context& c = b.context;
    const Desc data = in_.data.get_desc();
    description_ = dnnl::lrn_forward::primitive_desc(
        dnnl::lrn_forward::desc(c.forward_kind(), algorithm::lrn_across_channels, data, kWindow, kAlpha, kBeta, kBias),
        c.attributes, c.engine);
    out_.data = c.output(data);
    Arguments arguments{{DNNL_ARG_SRC, in_.data}, {DNNL_ARG_DST, out_.data}};
    workspace_.allocate(c, description_, arguments);
    forward_ = Call(c, description_, std::move(arguments));
  }
  void build_backward(Context& c) override {
    const Desc data = in_.data.get_desc();
    const dnnl::lrn_backward::desc desc(algorithm::lrn_across_channels, data, data, kWindow, kAlpha, kBeta, kBias);
    Arguments arguments{{DNNL_ARG_SRC, in_.data}};
    workspace_.add_to(arguments);
    build(c, dnnl::lrn_backward::primitive_desc(desc, c.attributes, c.engine, description_), std::move(arguments));
  }

 private:
  dnnl::lrn_forward::primitive_desc description_;
  Workspace workspace_;
};

/// Drops half of the values and doubles the others. The mask of an image is a function of (seed, layer, its position in the run).
class Dropout final : public OneToOne {
 public:
  explicit Dropout(const Building& b)
      : OneToOne(b), name_("dropout " + b.layer.name), per_image_(b.layer.out.elements()) {
    Context& c = b.context;
    const Desc data = in_.data.get_desc();
    if (!c.training()) {
      out_.data = in_.data;
      return;
    }
    mask_ = c.allocate(data);
    plain_mask_ = c.allocate(Desc(data.dims(), Type::f32, data.dims().size() == 2 ? Tag::nc : Tag::nchw));
    to_mask_ = copy_of(c, plain_mask_, mask_);
    out_.data = c.output(data);
    const dnnl::binary::primitive_desc pd(dnnl::binary::desc(algorithm::binary_mul, data, data, data), c.attributes,
                                          c.engine);
    forward_ = Call(c, pd, {{DNNL_ARG_SRC_0, in_.data}, {DNNL_ARG_SRC_1, mask_}, {DNNL_ARG_DST, out_.data}});
  }
  void build_backward(Context& c) override {
    const Desc data = in_.data.get_desc();
    const dnnl::binary::primitive_desc pd(dnnl::binary::desc(algorithm::binary_mul, data, data, data), c.attributes,
                                          c.engine);
    build(c, pd, DNNL_ARG_SRC_0, data, DNNL_ARG_DST, data, {{DNNL_ARG_SRC_1, mask_}});
  }
  void forward(Context& c) override {
    if (!c.training()) return;
    float* mask = static_cast<float*>(plain_mask_.get_data_handle());
    for (std::int64_t i = 0; i < c.images; ++i) {
      Rng rng(c.options.seed, name_, static_cast<std::uint64_t>(c.position + i));
      std::uint32_t bits = 0;
      for (std::int64_t k = 0; k < per_image_; ++k) {
        if (k % 32 == 0) bits = rng.next_u32();
        *mask++ = (bits >> (k % 32) & 1u) != 0 ? 2.0f : 0.0f;
      }
    }
    to_mask_(c);
    OneToOne::forward(c);
  }

 private:
  std::string name_;
  std::int64_t per_image_;
  memory mask_, plain_mask_;
  Call to_mask_;
};

}  // namespace

std::unique_ptr<LayerRun> make_relu(const Building& b) { return std::make_unique<Relu>(b); }
std::unique_ptr<LayerRun> make_add(const Building& b) { return std::make_unique<Add>(b); }
std::unique_ptr<LayerRun> make_pooling(const Building& b) { return std::make_unique<Pooling>(b); }
std::unique_ptr<LayerRun> make_lrn(const Building& b) { return std::make_unique<Lrn>(b); }
std::unique_ptr<LayerRun> make_dropout(const Building& b) { return std::make_unique<Dropout>(b); }

}  // namespace lockstep::cpu
