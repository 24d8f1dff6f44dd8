// Dropout with probability 1/2, drawn as real/cpu draws it: equal masks on processors and on the device.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string_view>

#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

/// Philox key of core's Rng(seed, "dropout " + layer).
struct DropoutKey {
  unsigned low = 0, high = 0;
};
DropoutKey dropout_key(std::uint64_t seed, std::string_view layer);

/// [images, pixels, channels] in NHWC. `position`: one value in device memory, the place of the first image in the run
/// (>= 0).
struct DropoutShape {
  int images = 0;
  long long pixels = 1;  ///< height x width
  int channels = 0;
  Element element = Element::F32;
};

/// y = 2 x or 0, by the mask of image position + i (bit k of its stream for value k in channel-first order). Nothing is
/// kept: the backward pass calls the same with x = dy, y = dx and the same position; with `add`, y += that. y may be x.
/// One launch.
void dropout(const DropoutShape& shape, DropoutKey key, const long long* position, const void* x, void* y, bool add,
             cudaStream_t stream);

}  // namespace lockstep::cuda
