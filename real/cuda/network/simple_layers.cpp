// Layers without parameters: ReLU, addition, pooling, local response normalisation, dropout.
#include "real/cuda/kernels/activation.hpp"
#include "real/cuda/kernels/dropout.hpp"
#include "real/cuda/kernels/lrn.hpp"
#include "real/cuda/network/layer.hpp"
#include "real/cuda/network/pooling.hpp"

namespace lockstep::cuda {

namespace {

class Relu final : public LayerRun {
 public:
  explicit Relu(const Building& b) : c_(b.context), n_(b.values()), x_(b.x()), y_(b.y()), dy_(b.dy()), dx_(b.dx()) {}
  void forward() override { relu_forward(c_.element(), n_, x_, y_, c_.stream()); }
  void backward(DeviceTensorSet&, bool) override {
    relu_backward(c_.element(), n_, y_, dy_, dx_.data, dx_.add, c_.stream());
  }

 private:
  Context& c_;
  long long n_;
  void *x_, *y_, *dy_;
  GradientPlace dx_;
};

class Add final : public LayerRun {
 public:
  explicit Add(const Building& b)
      : c_(b.context), n_(b.values()), a_(b.x(0)), b_(b.x(1)), y_(b.y()), dy_(b.dy()), ways_{b.dx(0), b.dx(1)} {}
  void forward() override { add(c_.element(), n_, a_, b_, y_, false, c_.stream()); }
  void backward(DeviceTensorSet&, bool) override {
    for (const GradientPlace& way : ways_) {
      if (way.add) {
        accumulate(c_.element(), n_, dy_, way.data, c_.stream());
        continue;
      }
      const std::size_t bytes = static_cast<std::size_t>(n_) * element_bytes(c_.element());
      check(cudaMemcpyAsync(way.data, dy_, bytes, cudaMemcpyDeviceToDevice, c_.stream()), "gradient of an addition");
    }
  }

 private:
  Context& c_;
  long long n_;
  void *a_, *b_, *y_, *dy_;
  GradientPlace ways_[2];
};

class MaxPooling final : public LayerRun {
 public:
  explicit MaxPooling(const Building& b)
      : c_(b.context),
        layer_(b.layer),
        x_(b.x()),
        y_(b.y()),
        dy_(b.dy()),
        dx_(b.dx()),
        winner_(reinterpret_cast<unsigned char*>(b.saved())) {}
  void forward() override { max_pool_forward(c_.element(), layer_, c_.images, x_, y_, winner_, c_.stream()); }
  void backward(DeviceTensorSet&, bool) override {
    max_pool_backward(c_.element(), layer_, c_.images, winner_, dy_, dx_.data, dx_.add, c_.stream());
  }

 private:
  Context& c_;
  const Layer& layer_;
  void *x_, *y_, *dy_;
  GradientPlace dx_;
  unsigned char* winner_;
};

class AveragePooling final : public LayerRun {
 public:
  explicit AveragePooling(const Building& b)
      : c_(b.context), layer_(b.layer), x_(b.x()), y_(b.y()), dy_(b.dy()), dx_(b.dx()) {}
  void forward() override { average_pool_forward(c_.element(), layer_, c_.images, x_, y_, c_.stream()); }
  void backward(DeviceTensorSet&, bool) override {
    average_pool_backward(c_.element(), layer_, c_.images, dy_, dx_.data, dx_.add, c_.stream());
  }

 private:
  Context& c_;
  const Layer& layer_;
  void *x_, *y_, *dy_;
  GradientPlace dx_;
};

class Lrn final : public LayerRun {
 public:
  explicit Lrn(const Building& b)
      : c_(b.context), rows_(b.rows()), channels_(b.layer.out.c), x_(b.x()), y_(b.y()), dy_(b.dy()), dx_(b.dx()) {}
  void forward() override { lrn_forward(c_.element(), rows_, channels_, x_, y_, c_.stream()); }
  void backward(DeviceTensorSet&, bool) override {
    lrn_backward(c_.element(), rows_, channels_, x_, dy_, dx_.data, dx_.add, c_.stream());
  }

 private:
  Context& c_;
  long long rows_;
  int channels_;
  void *x_, *y_, *dy_;
  GradientPlace dx_;
};

/// In evaluation the output is the input: the plan gives both the same memory.
class Dropout final : public LayerRun {
 public:
  explicit Dropout(const Building& b)
      : c_(b.context),
        key_(dropout_key(b.context.options.seed, b.layer.name)),
        x_(b.x()),
        y_(b.y()),
        dy_(b.dy()),
        dx_(b.dx()) {
    shape_.images = c_.images;
    shape_.pixels = static_cast<long long>(b.layer.out.h) * b.layer.out.w;
    shape_.channels = b.layer.out.c;
    shape_.element = c_.element();
  }
  void forward() override {
    if (c_.training()) dropout(shape_, key_, c_.position, x_, y_, false, c_.stream());
  }
  void backward(DeviceTensorSet&, bool) override {
    dropout(shape_, key_, c_.position, dy_, dx_.data, dx_.add, c_.stream());
  }

 private:
  Context& c_;
  DropoutShape shape_;
  DropoutKey key_;
  void *x_, *y_, *dy_;
  GradientPlace dx_;
};

}  // namespace

std::unique_ptr<LayerRun> make_relu(const Building& b) { return std::make_unique<Relu>(b); }
std::unique_ptr<LayerRun> make_add(const Building& b) { return std::make_unique<Add>(b); }
std::unique_ptr<LayerRun> make_pooling(const Building& b) {
  if (b.layer.kind == LayerKind::MaxPool) return std::make_unique<MaxPooling>(b);
  return std::make_unique<AveragePooling>(b);
}
std::unique_ptr<LayerRun> make_lrn(const Building& b) { return std::make_unique<Lrn>(b); }
std::unique_ptr<LayerRun> make_dropout(const Building& b) { return std::make_unique<Dropout>(b); }

}  // namespace lockstep::cuda
