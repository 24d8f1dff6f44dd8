#include "real/cuda/kernels/bias.hpp"

#include "real/cuda/kernels/bias.cuh"
#include "real/cuda/kernels/column_grid.hpp"
#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"

namespace lockstep::cuda {

void add_bias(Element element, long long rows, int channels, const float* bias, void* y, cudaStream_t stream) {
  const long long n = rows * channels;
  if (n == 0) return;
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("add_bias", add_bias_kernel<T>, cover(n, 256), 256, stream, n, channels, bias, static_cast<T*>(y));
  });
}

std::size_t bias_gradient_workspace_bytes(long long rows, int channels) {
  return static_cast<std::size_t>(sum_grid(rows, channels).parts) * static_cast<std::size_t>(channels) * sizeof(float);
}

void bias_gradient(Element element, long long rows, int channels, const void* dy, float* gradient, bool add,
                   void* workspace, cudaStream_t stream) {
  LOCKSTEP_EXPECTS(rows >= 1 && channels >= 1 && aligned16({dy, workspace}));
  const ColumnGrid grid = sum_grid(rows, channels);
  float* partial = static_cast<float*>(workspace);
  with_type(element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = column_vector(channels) == 8 ? bias_partial<T, 8> : bias_partial<T, 1>;
    launch("bias_partial", kernel, dim3(static_cast<unsigned>(grid.tiles), static_cast<unsigned>(grid.parts)),
           kColumnThreads, stream, static_cast<const T*>(dy), rows, channels, grid, partial);
  });
  launch("bias_sums", bias_sums, cover(channels, kFinalChannels), kFinalThreads, stream, partial, channels, grid.parts,
         gradient, add ? 1 : 0);
}

}  // namespace lockstep::cuda
