#include "real/cuda/kernels/softmax_cross_entropy.hpp"
#include "real/cuda/network/layer.hpp"

namespace lockstep::cuda {

namespace {

/// In training the forward pass computes the gradient too: it has the softmax at hand.
class Loss final : public LayerRun {
 public:
  explicit Loss(const Building& b) : c_(b.context), classes_(b.layer.in.c), logits_(b.x()), gradient_(b.dx().data) {
    LOCKSTEP_EXPECTS(b.layer.in.h == 1 && b.layer.in.w == 1);
    LOCKSTEP_EXPECTS(!b.dx().add);  // the logits are read by the loss alone
    c_.workspace.want(static_cast<std::size_t>(c_.images) * sizeof(ImageLoss));
  }

  void forward() override {
    LossArgs a;
    a.images = c_.images;
    a.classes = classes_;
    a.element = c_.element();
    a.logits = logits_;
    a.labels = c_.labels;
    a.smoothing = c_.options.label_smoothing;
    a.gradient_scale = c_.loss_scale;
    a.gradient = gradient_;
    a.per_image = reinterpret_cast<ImageLoss*>(c_.workspace.data());
    a.sums = c_.sums;
    softmax_cross_entropy(a, c_.stream());
  }

 private:
  Context& c_;
  int classes_;
  void *logits_, *gradient_;
};

}  // namespace

std::unique_ptr<LayerRun> make_loss(const Building& b) { return std::make_unique<Loss>(b); }

}  // namespace lockstep::cuda
