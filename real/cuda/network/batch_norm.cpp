#include "real/cuda/kernels/batch_norm.hpp"

#include "real/cuda/kernels/activation.hpp"
#include "real/cuda/network/layer.hpp"

namespace lockstep::cuda {

namespace {

/// Batch norm alone, with ReLU, or with addition and ReLU.
class BatchNorm final : public LayerRun {
 public:
  explicit BatchNorm(const Building& b)
      : c_(b.context),
        layer_(b.layer),
        gamma_(b.tensor(TensorRole::Gamma)),
        beta_(b.tensor(TensorRole::Beta)),
        shape_{b.rows(), b.layer.out.c, b.context.element()},
        x_(b.x()),
        addend_(b.layer.fused_add ? b.x(1) : nullptr),
        y_(b.y()),
        dy_(b.dy()),
        dx_(b.dx()),
        d_addend_(b.layer.fused_add ? b.dx(1) : GradientPlace{}) {
    LOCKSTEP_EXPECTS(b.in_channels() == layer_.in.c);
    if (!c_.training()) return;
    const NormSaved saved = norm_saved(layer_, c_.images);
    LOCKSTEP_EXPECTS(!layer_.fused_relu || saved.mask + relu_mask_bytes(shape_) <= saved.bytes);
    mean_ = reinterpret_cast<float*>(b.saved());
    deviation_ = reinterpret_cast<float*>(b.saved() + saved.deviation);
    if (layer_.fused_relu) mask_ = reinterpret_cast<unsigned char*>(b.saved() + saved.mask);
    c_.workspace.want(batch_norm_workspace_bytes(shape_));
  }

  void forward() override { c_.training() ? forward_training() : forward_inference(); }

  void backward(DeviceTensorSet& gradients, bool add) override {
    BatchNormBackward a;
    a.x = x_;
    a.dy = dy_;
    a.relu_mask = mask_;
    a.gamma = c_.weights.master()[gamma_];
    a.mean = mean_;
    a.inverse_deviation = deviation_;
    a.dgamma = gradients[gamma_];
    a.dbeta = gradients[beta_];
    a.add_parameters = add;
    a.dx = dx_.data;
    a.add_dx = dx_.add;
    // A value added to its own norm gets both gradients: the second passes through dy, which nobody reads any more.
    const bool same = d_addend_.data != nullptr && d_addend_.data == dx_.data;
    a.d_addend = same ? dy_ : d_addend_.data;
    a.add_addend = !same && d_addend_.add;
    batch_norm_backward(shape_, a, c_.workspace.data(), c_.stream());
    if (same) accumulate(c_.element(), shape_.rows * shape_.channels, dy_, dx_.data, c_.stream());
  }

 private:
  void forward_training() {
    BatchNormTraining a;
    a.x = x_;
    a.addend = addend_;
    a.y = y_;
    a.gamma = c_.weights.master()[gamma_];
    a.beta = c_.weights.master()[beta_];
    a.mean = mean_;
    a.inverse_deviation = deviation_;
    a.average_mean = c_.statistics.mean(layer_.id);
    a.average_variance = c_.statistics.variance(layer_.id);
    a.relu_mask = mask_;
    a.momentum = c_.options.norm_momentum;
    a.epsilon = static_cast<float>(c_.options.norm_epsilon);
    batch_norm_training(shape_, a, c_.workspace.data(), c_.stream());
  }
  void forward_inference() {
    BatchNormInference a;
    a.x = x_;
    a.addend = addend_;
    a.y = y_;
    a.gamma = c_.weights.master()[gamma_];
    a.beta = c_.weights.master()[beta_];
    a.average_mean = c_.statistics.mean(layer_.id);
    a.average_variance = c_.statistics.variance(layer_.id);
    a.relu = layer_.fused_relu;
    a.epsilon = static_cast<float>(c_.options.norm_epsilon);
    batch_norm_inference(shape_, a, c_.stream());
  }

  Context& c_;
  const Layer& layer_;
  TensorId gamma_, beta_;
  BatchNormShape shape_;
  void *x_, *addend_, *y_, *dy_;
  GradientPlace dx_, d_addend_;
  float *mean_ = nullptr, *deviation_ = nullptr;
  unsigned char* mask_ = nullptr;
};

}  // namespace

std::unique_ptr<LayerRun> make_batch_norm(const Building& b) { return std::make_unique<BatchNorm>(b); }

}  // namespace lockstep::cuda
