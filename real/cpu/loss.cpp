#include "core/model/loss.hpp"

#include "real/cpu/layer.hpp"

namespace lockstep::cpu {

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

/// Softmax cross-entropy in double, by core's own functions: a few hundred logits per image cost nothing beside the network.
class Loss final : public LossRun {
 public:
  Loss(const Building& b, std::span<const std::int32_t> labels)
      : in_(b.in()),
        labels_(labels),
        classes_(static_cast<std::size_t>(b.layer.in.c)),
        row_(classes_),
        slope_(classes_) {
    const Desc plain({b.context.images, b.layer.in.c}, Type::f32, Tag::nc);
    logits_ = reordered(b.context, in_.data, plain);
    b.out().data = logits_.to;
  }

  void build_backward(Context& c) override {
    const Desc plain = logits_.to.get_desc();
    gradient_ = c.allocate(plain);
    slot_ = GradientSlot(c, in_, Desc(plain.dims(), c.type(), Tag::nc));
    deliver_ = copy_of(c, gradient_, slot_.target());
  }

  void forward(Context& c) override {
    if (logits_.call) logits_.call(c);
    result_ = {};
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      if (labels_[i] < 0) continue;
      read(i);
      result_.loss += cross_entropy(row_, labels_[i], c.options.label_smoothing);
      result_.correct += top1(row_, labels_[i]) ? 1 : 0;
      ++result_.counted;
    }
  }

  void backward(Context& c, TensorSet&, bool) override {
    float* out = static_cast<float*>(gradient_.get_data_handle());
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      std::fill(slope_.begin(), slope_.end(), 0.0);
      if (labels_[i] >= 0) {
        read(i);
        cross_entropy_gradient(row_, labels_[i], c.options.label_smoothing, slope_);
      }
      for (const double s : slope_) *out++ = static_cast<float>(s);
    }
    deliver_(c);
    slot_.add(c);
  }

  BatchResult result() const override { return result_; }

 private:
  void read(std::size_t i) {
    const float* logits = static_cast<const float*>(logits_.to.get_data_handle()) + i * classes_;
    std::copy(logits, logits + classes_, row_.begin());
  }

  Value& in_;
  std::span<const std::int32_t> labels_;
  std::size_t classes_;
  std::vector<double> row_, slope_;
  Reordered logits_;
  memory gradient_;
  Call deliver_;
  GradientSlot slot_;
  BatchResult result_;
};

}  // namespace

std::unique_ptr<LossRun> make_loss(const Building& b, std::span<const std::int32_t> labels) {
  return std::make_unique<Loss>(b, labels);
}

}  // namespace lockstep::cpu
