#include "real/cuda/kernels/softmax_cross_entropy.cuh"

#include "real/cuda/kernels/dispatch.hpp"
#include "real/cuda/kernels/launch.hpp"
#include "real/cuda/kernels/softmax_cross_entropy.hpp"

namespace lockstep::cuda {

void softmax_cross_entropy(const LossArgs& a, cudaStream_t stream) {
  LOCKSTEP_EXPECTS(a.images >= 1 && a.classes >= 1 && a.smoothing >= 0 && a.smoothing < 1);
  with_type(a.element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("loss_of_image", loss_of_image<T>, cover(a.images, 1), kLossThreads, stream, a.classes,
           static_cast<const T*>(a.logits), a.labels, a.smoothing, a.gradient_scale, static_cast<T*>(a.gradient),
           a.per_image);
  });
  launch("loss_sums", loss_sums, 1, kLossSumThreads, stream, a.images, static_cast<const ImageLoss*>(a.per_image),
         a.sums);
}

}  // namespace lockstep::cuda
