// How a kernel's time depends on the batch: tiles, waves over multiprocessors.
#pragma once

#include "core/model/graph.hpp"

namespace lockstep::sim {

enum class ConvPass { Forward, BackwardData, BackwardWeight };

/// Tiles that one image adds to a convolution as a matrix product (implicit GEMM, Chetlur et al. 2014, arXiv:1410.0759): rows are pixels of
/// the result, columns its channels; a thread block computes kTileRows x kTileColumns of it. The weight gradient's own tiles do not grow with
/// the batch: libraries split its sum over pixels until the multiprocessors are filled, so it is counted with the forward pass's tiles.
double tiles_per_image(const Layer& layer, ConvPass pass);
inline constexpr double kTileRows = 128,
                        kTileColumns = 128;  ///< usual tile of cuDNN's and cuBLAS's kernels from Kepler to Volta

/// A batch of N images takes N x tiles / multiprocessors waves, and `tail_waves` more that compute nothing: the last wave is half empty on average,
/// blocks start up and drain. Returned in images: time ~ N + lost_images. Does not depend on the precision: the same tiles, the same waves.
/// Zero for a device without multiprocessors (a processor) and for layers that are no convolution.
double lost_images(const Layer& layer, ConvPass pass, int multiprocessors, double tail_waves);

}  // namespace lockstep::sim
