#include "real/cuda/kernels/bias.hpp"
#include "real/cuda/network/layer.hpp"

namespace lockstep::cuda {

namespace {

/// Fully connected: the input may still have height and width, which then belong to its features (channels last, as the
/// weights).
class Linear final : public LayerRun {
 public:
  explicit Linear(const Building& b)
      : c_(b.context),
        layer_(b.layer),
        weight_(b.tensor(TensorRole::Weight)),
        bias_(b.tensor(TensorRole::Bias)),
        features_(static_cast<int>(layer_.in.elements())),
        x_(b.x()),
        y_(b.y()),
        dy_(b.dy()),
        dx_(b.dx()) {
    LOCKSTEP_EXPECTS(b.in_channels() == layer_.in.c);
    if (c_.training()) c_.workspace.want(bias_gradient_workspace_bytes(c_.images, layer_.out.c));
  }

  // Row-major [n, m] is to cuBLAS a column-major matrix of m rows: every product below is the transpose of what it
  // computes.
  void forward() override {  // y [N, O] = x [N, F] w [O, F]^T
    multiply(CUBLAS_OP_T, CUBLAS_OP_N, layer_.out.c, c_.images, features_, c_.weights.operand(weight_), features_, x_,
             features_, y_, c_.element(), layer_.out.c, false);
    add_bias(c_.element(), c_.images, layer_.out.c, c_.weights.master()[bias_], y_, c_.stream());
  }

  void backward(DeviceTensorSet& gradients, bool add) override {
    // dw [O, F] = dy [N, O]^T x [N, F], in fp32 whatever the element
    multiply(CUBLAS_OP_N, CUBLAS_OP_T, features_, layer_.out.c, c_.images, x_, features_, dy_, layer_.out.c,
             gradients[weight_], Element::F32, features_, add);
    bias_gradient(c_.element(), c_.images, layer_.out.c, dy_, gradients[bias_], add, c_.workspace.data(), c_.stream());
    if (dx_.data == nullptr) return;
    // dx [N, F] = dy [N, O] w [O, F]
    multiply(CUBLAS_OP_N, CUBLAS_OP_N, features_, c_.images, layer_.out.c, c_.weights.operand(weight_), features_, dy_,
             layer_.out.c, dx_.data, c_.element(), features_, dx_.add);
  }

 private:
  /// out (+)= a b: m x n, inner dimension k; a and b of the network's element, sums in fp32.
  void multiply(cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k, const void* a, int lda,
                const void* b, int ldb, void* out, Element out_element, int ldc, bool add) {
    const float one = 1, beta = add ? 1.0f : 0.0f;
    const cudaDataType type = cuda_type(c_.element());
    const auto compute = c_.options.precision == Precision::Tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check(cublasGemmEx(c_.handles.cublas(), a_op, b_op, m, n, k, &one, a, type, lda, b, type, ldb, &beta, out,
                       cuda_type(out_element), ldc, compute, CUBLAS_GEMM_DEFAULT),
          layer_.name, "cublasGemmEx");
  }

  Context& c_;
  const Layer& layer_;
  TensorId weight_, bias_;
  int features_;
  void *x_, *y_, *dy_;
  GradientPlace dx_;
};

}  // namespace

std::unique_ptr<LayerRun> make_linear(const Building& b) { return std::make_unique<Linear>(b); }

}  // namespace lockstep::cuda
