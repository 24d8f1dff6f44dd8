#include <fmt/format.h>

#include "real/cuda/kernels/bias.hpp"
#include "real/cuda/kernels/cast.hpp"
#include "real/cuda/network/layer.hpp"

namespace lockstep::cuda {

namespace {

Shape on_device(const Building& b) { return {b.in_channels(), b.layer.in.h, b.layer.in.w}; }

std::string problem_key(const Building& b) {
  const Layer& l = b.layer;
  const char* types[] = {"fp32", "tf32", "fp16", "bf16"};
  return fmt::format("n{} c{} {}x{} k{} {}x{} stride{} pad{} groups{} {}", b.context.images, b.in_channels(), l.in.h,
                     l.in.w, l.out.c, l.r, l.s, l.stride, l.pad, l.groups,
                     types[static_cast<int>(b.context.options.precision)]);
}

/// One direction: its descriptor, whose math type is its own, and its algorithm.
struct Pass {
  explicit Pass(const Layer& layer) : convolution(layer) {}
  ConvolutionDescriptor convolution;
  AlgorithmChoice choice;
};

class Convolution final : public LayerRun {
 public:
  explicit Convolution(const Building& b)
      : c_(b.context),
        layer_(b.layer),
        place_(c_.weights.master().layout()[b.tensor(TensorRole::Weight)]),
        weight_(b.tensor(TensorRole::Weight)),
        bias_(b.layer.bias ? b.tensor(TensorRole::Bias) : TensorId()),
        rows_(b.rows()),
        x_(b.x()),
        y_(b.y()),
        dy_(b.dy()),
        dx_(b.dx()),
        x_shape_(layer_.name, c_.element(), c_.images, on_device(b)),
        y_shape_(layer_.name, c_.element(), c_.images, layer_.out),
        w_shape_(layer_.name, c_.element(), layer_.out.c, b.in_channels() / layer_.groups, layer_.r, layer_.s),
        forward_(layer_),
        data_(layer_),
        weights_(layer_) {
    const int group_channels = b.in_channels() / layer_.groups;
    LOCKSTEP_EXPECTS(place_.elements == static_cast<std::size_t>(layer_.out.c * layer_.r * layer_.s * group_channels));
    choose(b, Direction::Forward, forward_);
    c_.workspace.want(forward_.choice.workspace_bytes);
    if (!c_.training()) return;
    choose(b, Direction::BackwardWeights, weights_);
    c_.workspace.want(cast_offset() + (casts() ? place_.elements * element_bytes(c_.element()) : 0));
    if (bias_) c_.workspace.want(bias_gradient_workspace_bytes(rows_, layer_.out.c));
    if (dx_.data == nullptr) return;
    choose(b, Direction::BackwardData, data_);
    c_.workspace.want(data_.choice.workspace_bytes);
  }

  void forward() override {
    const float one = 1, zero = 0;
    check(
        cudnnConvolutionForward(c_.handles.cudnn(), &one, x_shape_, x_, w_shape_, c_.weights.operand(weight_),
                                forward_.convolution, static_cast<cudnnConvolutionFwdAlgo_t>(forward_.choice.algorithm),
                                c_.workspace.data(), forward_.choice.workspace_bytes, &zero, y_shape_, y_),
        layer_.name, "cudnnConvolutionForward");
    if (bias_) add_bias(c_.element(), rows_, layer_.out.c, c_.weights.master()[bias_], y_, c_.stream());
  }

  void backward(DeviceTensorSet& gradients, bool add) override {
    weight_gradient(gradients[weight_], add);
    if (bias_)
      bias_gradient(c_.element(), rows_, layer_.out.c, dy_, gradients[bias_], add, c_.workspace.data(), c_.stream());
    if (dx_.data == nullptr) return;
    const float one = 1, beta = dx_.add ? 1.0f : 0.0f;
    check(cudnnConvolutionBackwardData(c_.handles.cudnn(), &one, w_shape_, c_.weights.operand(weight_), y_shape_, dy_,
                                       data_.convolution,
                                       static_cast<cudnnConvolutionBwdDataAlgo_t>(data_.choice.algorithm),
                                       c_.workspace.data(), data_.choice.workspace_bytes, &beta, x_shape_, dx_.data),
          layer_.name, "cudnnConvolutionBackwardData");
  }

 private:
  bool casts() const { return c_.element() != Element::F32; }
  /// The 16-bit gradient lies behind cuDNN's workspace.
  std::size_t cast_offset() const { return (weights_.choice.workspace_bytes + 255) / 256 * 256; }

  void choose(const Building& b, Direction direction, Pass& pass) {
    const ConvolutionProblem problem{direction, layer_.name, problem_key(b),  x_shape_,
                                     y_shape_,  w_shape_,    pass.convolution};
    TrialBuffers trial = c_.trial;
    trial.x = direction == Direction::BackwardData ? dx_.data : x_;
    trial.y = direction == Direction::Forward ? y_ : dy_;
    if (direction != Direction::BackwardWeights) trial.weights = const_cast<void*>(c_.weights.operand(weight_));
    if (trial.workspace == nullptr) trial = {};
    const ChoicePolicy policy{c_.options.precision, c_.options.deterministic, c_.options.workspace_limit};
    pass.choice = choose_algorithm(c_.handles, problem, policy, trial, c_.algorithms);
    c_.chosen.push_back(
        fmt::format("{} {}: {}", layer_.name, direction_name(direction), algorithm_text(direction, pass.choice)));
  }

  /// cuDNN wants the gradient of the weights in the type of the activations: see network.hpp.
  void weight_gradient(float* out, bool add) {
    const float one = 1, beta = add && !casts() ? 1.0f : 0.0f;
    void* target = casts() ? static_cast<void*>(c_.workspace.data() + cast_offset()) : out;
    check(cudnnConvolutionBackwardFilter(c_.handles.cudnn(), &one, x_shape_, x_, y_shape_, dy_, weights_.convolution,
                                         static_cast<cudnnConvolutionBwdFilterAlgo_t>(weights_.choice.algorithm),
                                         c_.workspace.data(), weights_.choice.workspace_bytes, &beta, w_shape_, target),
          layer_.name, "cudnnConvolutionBackwardFilter");
    if (casts())
      cast_to_float(c_.element(), static_cast<long long>(place_.elements), target, 1.0f, out, add, c_.stream());
  }

  Context& c_;
  const Layer& layer_;
  TensorPlace place_;
  TensorId weight_, bias_;
  long long rows_;
  void *x_, *y_, *dy_;
  GradientPlace dx_;
  TensorDescriptor x_shape_, y_shape_;
  FilterDescriptor w_shape_;
  Pass forward_, data_, weights_;
};

}  // namespace

std::unique_ptr<LayerRun> make_convolution(const Building& b) { return std::make_unique<Convolution>(b); }

}  // namespace lockstep::cuda
