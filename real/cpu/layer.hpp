// What every kind of layer is to a network: how it computes, and where its values lie. Internal to real/cpu.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "core/model/graph.hpp"
#include "real/cpu/network.hpp"

namespace lockstep::cpu {

using Desc = dnnl::memory::desc;
using Arguments = std::unordered_map<int, dnnl::memory>;

/// Buffers handed from layers that are done with them to layers that run later: of gradients in training, of activations in evaluation.
/// The order of building is the order of execution, so the hand-over is settled before the first step.
class Pool {
 public:
  explicit Pool(const dnnl::engine& engine) : engine_(engine) {}
  dnnl::memory take(const Desc& desc);
  void give_back(const dnnl::memory& memory);

 private:
  const dnnl::engine& engine_;
  std::multimap<std::size_t, void*> free_;
  std::unordered_map<void*, std::size_t> size_;
  std::vector<dnnl::memory> owned_;
};

/// Space that primitives need only while they run: one block for all of a network. oneDNN's own is shared by all primitives that a
/// thread made, so that two networks could not run at the same time.
class Scratch {
 public:
  /// A view of the block, which grows to hold it; earlier views move along.
  dnnl::memory view(const Desc& desc, const dnnl::engine& engine);

 private:
  std::vector<dnnl::memory> views_;
  dnnl::memory block_;
};

/// The output of a layer, and the gradient of the loss with respect to it.
struct Value {
  dnnl::memory data;
  dnnl::memory gradient;  ///< empty until the first reader's backward pass is built
};

struct Context {
  Context(const NetworkOptions& o, std::int64_t n) : options(o), images(n) {
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  }
  const NetworkOptions& options;
  std::int64_t images;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  Pool pool{engine};
  Scratch scratch;
  dnnl::primitive_attr attributes;  ///< of every primitive
  NormStatistics* statistics = nullptr;
  std::int64_t position = 0;  ///< of the first image, see Network::begin

  bool training() const { return options.mode == NetworkMode::Training; }
  dnnl::memory::data_type type() const {
    return options.precision == Precision::Bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  }
  dnnl::prop_kind forward_kind() const {
    return training() ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  }
  dnnl::memory allocate(const Desc& desc) { return {desc, engine}; }
  /// For the output of a layer: kept for the backward pass, or in evaluation only until its last reader is done.
  dnnl::memory output(const Desc& desc) { return training() ? allocate(desc) : pool.take(desc); }
};

/// A primitive with its arguments, made once and executed every step.
class Call {
 public:
  Call() = default;
  /// `description`: any primitive_desc made with the context's attributes.
  template <class Description>
  Call(Context& c, const Description& description, Arguments arguments)
      : primitive_(description.get()), arguments_(std::move(arguments)) {
    if (description.scratchpad_desc().get_size() > 0)
      arguments_.emplace(DNNL_ARG_SCRATCHPAD, c.scratch.view(description.scratchpad_desc(), c.engine));
  }
  explicit operator bool() const { return !arguments_.empty(); }
  void operator()(Context& c) const { primitive_.execute(c.stream, arguments_); }
  dnnl::memory& argument(int which) { return arguments_.at(which); }

 private:
  dnnl::primitive primitive_;
  Arguments arguments_;
};

/// Copies `from` into another layout or precision; no call at all where they agree, and `to` is then `from`.
struct Reordered {
  dnnl::memory to;
  Call call;
};
Reordered reordered(Context& c, const dnnl::memory& from, const Desc& wanted);
Call copy_of(Context& c, const dnnl::memory& from, const dnnl::memory& to);

/// Where a layer's backward pass puts the gradient of one of its inputs: the value's own buffer if it is the first to write there, else a
/// temporary that add() sums into it.
class GradientSlot {
 public:
  GradientSlot() = default;
  /// Call while building, in the order of the backward pass.
  GradientSlot(Context& c, Value& value, const Desc& desc);
  const dnnl::memory& target() const { return target_; }
  void add(Context& c) const {
    if (sum_) sum_(c);
  }

 private:
  dnnl::memory target_;
  Call sum_;
};

/// A parameter tensor in the layout of a primitive.
struct Parameter {
  TensorId id;
  Desc plain;  ///< fp32, as in a TensorSet
  std::vector<dnnl::memory> copies;
  /// Layers load at the same time in several threads: so nothing is shared here.
  void load(Context& c, const TensorSet& weights);

 private:
  struct Copying {
    dnnl::reorder reorder;
    dnnl::memory scratch;
  };
  std::vector<Copying> copying_;  ///< one per copy, made at the first load
  dnnl::memory plain_;
};

/// One layer. Built in graph order; build_backward() in reverse order, when all readers of its output have built theirs.
class LayerRun {
 public:
  virtual ~LayerRun() = default;
  virtual void build_backward(Context&) {}
  virtual void load_weights(Context&, const TensorSet&) {}
  virtual void forward(Context&) = 0;
  virtual void backward(Context&, TensorSet&, bool) {}
};

/// What a layer is built from. `outputs`: of every layer so far; the layer makes its own.
struct Building {
  Context& context;
  const ModelGraph& graph;
  const Layer& layer;
  std::vector<Value>& values;
  Value& in(std::size_t i = 0) const { return values[layer.inputs[i].index()]; }
  Value& out() const { return values[layer.id.index()]; }
  /// The tensor of this role.
  const ParamTensor* tensor(TensorRole role) const;
  dnnl::memory::dims dims(const Shape& shape) const { return {context.images, shape.c, shape.h, shape.w}; }
  bool needs_input_gradient(std::size_t i = 0) const { return layer.inputs[i].value != 0; }
};

std::unique_ptr<LayerRun> make_convolution(const Building& b);
std::unique_ptr<LayerRun> make_linear(const Building& b);
std::unique_ptr<LayerRun> make_batch_norm(const Building& b);
std::unique_ptr<LayerRun> make_relu(const Building& b);
std::unique_ptr<LayerRun> make_add(const Building& b);
std::unique_ptr<LayerRun> make_pooling(const Building& b);
std::unique_ptr<LayerRun> make_lrn(const Building& b);
std::unique_ptr<LayerRun> make_dropout(const Building& b);

/// Knows the labels, and gives the result.
class LossRun : public LayerRun {
 public:
  virtual BatchResult result() const = 0;
};
std::unique_ptr<LossRun> make_loss(const Building& b, std::span<const std::int32_t> labels);

/// Writes a gradient from the layout of a primitive into the plain tensor, or adds it.
class ParameterGradient {
 public:
  ParameterGradient() = default;
  ParameterGradient(Context& c, TensorId id, const Desc& plain, const Desc& computed);
  const dnnl::memory& computed() const { return computed_; }
  void deliver(Context& c, TensorSet& gradients, bool add);

 private:
  TensorId id_;
  dnnl::memory computed_, plain_;
  Call write_, sum_;
};

}  // namespace lockstep::cpu
