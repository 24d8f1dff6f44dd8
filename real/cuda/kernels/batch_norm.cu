#include "real/cuda/kernels/batch_norm.cuh"

#include "core/base/error.hpp"
#include "real/cuda/kernels/batch_norm.hpp"
#include "real/cuda/kernels/column_grid.hpp"
#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"

namespace lockstep::cuda {

namespace {

constexpr int kThreads = 256;

std::size_t partial_floats(const BatchNormShape& s) {
  return std::size_t{2} * static_cast<std::size_t>(sum_grid(s.rows, s.channels).parts) *
         static_cast<std::size_t>(s.channels);
}

dim3 blocks(const ColumnGrid& grid) {
  return dim3(static_cast<unsigned>(grid.tiles), static_cast<unsigned>(grid.parts));
}
dim3 final_blocks(int channels) { return cover(channels, kFinalChannels); }

void expect(const BatchNormShape& s, std::initializer_list<const void*> pointers) {
  LOCKSTEP_EXPECTS(s.rows >= 1 && s.channels >= 1);
  LOCKSTEP_EXPECTS(aligned16(pointers));
}

template <class T>
void apply(const BatchNormShape& s, const void* x, const void* addend, void* y, unsigned char* mask,
           const BatchNormScale& scale, cudaStream_t stream) {
  const T *from = static_cast<const T*>(x), *other = static_cast<const T*>(addend);
  T* to = static_cast<T*>(y);
  if (column_vector(s.channels) == 8) {
    const ColumnGrid grid = apply_grid(s.rows, s.channels);
    launch("batch_norm_apply", batch_norm_apply<T>, blocks(grid), kColumnThreads, stream, from, other, to, mask, s.rows,
           s.channels, grid, scale);
  } else {
    launch("batch_norm_apply_any", batch_norm_apply_any<T>, cover((s.rows * s.channels + 7) / 8, kThreads), kThreads,
           stream, from, other, to, mask, s.rows, s.channels, scale);
  }
}

}  // namespace

std::size_t relu_mask_bytes(const BatchNormShape& s) {
  return (static_cast<std::size_t>(s.rows) * static_cast<std::size_t>(s.channels) + 7) / 8;
}

std::size_t batch_norm_workspace_bytes(const BatchNormShape& s) {
  return (partial_floats(s) + std::size_t{3} * static_cast<std::size_t>(s.channels)) * sizeof(float);
}

void batch_norm_training(const BatchNormShape& s, const BatchNormTraining& a, void* workspace, cudaStream_t stream) {
  expect(s, {a.x, a.addend, a.y, workspace});
  const ColumnGrid grid = sum_grid(s.rows, s.channels);
  float* partial = static_cast<float*>(workspace);
  const BatchNormMoments moments{a.mean,   a.inverse_deviation, a.average_mean, a.average_variance, a.momentum,
                                 a.epsilon};
  const BatchNormScale scale{a.mean, a.inverse_deviation, a.gamma, a.beta, 0.0f, 0, a.relu_mask != nullptr ? 1 : 0};
  with_type(s.element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = static_cast<const T*>(a.x);
    const auto kernel = column_vector(s.channels) == 8 ? batch_norm_partial<T, 8> : batch_norm_partial<T, 1>;
    launch("batch_norm_partial", kernel, blocks(grid), kColumnThreads, stream, x, s.rows, s.channels, grid, partial);
    launch("batch_norm_moments", batch_norm_moments<T>, final_blocks(s.channels), kFinalThreads, stream, x, s.rows,
           s.channels, grid.parts, partial, moments);
    apply<T>(s, a.x, a.addend, a.y, a.relu_mask, scale, stream);
  });
}

void batch_norm_inference(const BatchNormShape& s, const BatchNormInference& a, cudaStream_t stream) {
  expect(s, {a.x, a.addend, a.y});
  const BatchNormScale scale{a.average_mean, a.average_variance, a.gamma, a.beta, static_cast<float>(a.epsilon), 1,
                             a.relu ? 1 : 0};
  with_type(s.element,
            [&](auto tag) { apply<typename decltype(tag)::type>(s, a.x, a.addend, a.y, nullptr, scale, stream); });
}

void batch_norm_backward(const BatchNormShape& s, const BatchNormBackward& a, void* workspace, cudaStream_t stream) {
  expect(s, {a.x, a.dy, a.dx, a.d_addend, workspace});
  const ColumnGrid grid = sum_grid(s.rows, s.channels);
  float *partial = static_cast<float*>(workspace), *factors = partial + partial_floats(s);
  with_type(s.element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *x = static_cast<const T*>(a.x), *dy = static_cast<const T*>(a.dy);
    const auto kernel =
        column_vector(s.channels) == 8 ? batch_norm_backward_partial<T, 8> : batch_norm_backward_partial<T, 1>;
    launch("batch_norm_backward_partial", kernel, blocks(grid), kColumnThreads, stream, x, dy, a.relu_mask, a.mean,
           s.rows, s.channels, grid, partial);
    launch("batch_norm_backward_sums", batch_norm_backward_sums, final_blocks(s.channels), kFinalThreads, stream,
           partial, s.rows, s.channels, grid.parts, a.gamma, a.inverse_deviation, a.dgamma, a.dbeta,
           a.add_parameters ? 1 : 0, factors);
    if (a.dx == nullptr && a.d_addend == nullptr) return;
    const BatchNormSlopes<T> slopes{x,
                                    dy,
                                    a.relu_mask,
                                    a.mean,
                                    factors,
                                    static_cast<T*>(a.dx),
                                    static_cast<T*>(a.d_addend),
                                    a.add_dx ? 1 : 0,
                                    a.add_addend ? 1 : 0};
    if (column_vector(s.channels) == 8) {
      const ColumnGrid wide = apply_grid(s.rows, s.channels);
      launch("batch_norm_backward_apply", batch_norm_backward_apply<T>, blocks(wide), kColumnThreads, stream, slopes,
             s.rows, s.channels, wide);
    } else {
      launch("batch_norm_backward_apply_any", batch_norm_backward_apply_any<T>,
             cover((s.rows * s.channels + 7) / 8, kThreads), kThreads, stream, slopes, s.rows, s.channels);
    }
  });
}

}  // namespace lockstep::cuda
