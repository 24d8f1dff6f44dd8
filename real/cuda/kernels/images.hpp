// From packed images to the network's input on the device.
#pragma once

#include <cuda_runtime_api.h>

#include "real/cuda/kernels/element.hpp"
#include "real/data/image_table.hpp"

namespace lockstep::cuda {

/// [images, h, w, c_out], channels c to c_out - 1 are 0.
struct InputShape {
  int images;
  int h, w, c, c_out;  ///< c_out >= c
};

/// Scratch of images whose colours change, in device memory; null where no image says so.
struct ColourScratch {
  float* pixels = nullptr;  ///< [images, h, w, 3]
  float* means = nullptr;   ///< [images]
};

/// What prepare_image() (real/data/augmentation.hpp) computes, in NHWC: crop and padding, or resampling, then colours, flip and normalising in fp32, in the
/// same order of operations and without fused products, rounded once. So fp32 results have the bits of prepare_image(), except that contrast takes the
/// mean luma of an image from sums in another order: it may differ by one unit in its last place. `images`: [images] and `packed`: their data, at multiples
/// of 4 bytes, in device memory. One launch; three with `colours`.
void prepare_images(Element element, const InputShape& shape, const unsigned char* packed, const PackedImage* images,
                    const PixelScale& scale, const ColourScratch& colours, void* out, cudaStream_t stream);

}  // namespace lockstep::cuda
