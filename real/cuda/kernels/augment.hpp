// From stored bytes, or from images that the host prepared, to the network's input on the device.
#pragma once

#include <cuda_runtime_api.h>

#include <array>

#include "real/cuda/kernels/augment_table.cuh"
#include "real/cuda/kernels/element.hpp"

namespace lockstep::cuda {

/// The factors as prepare_image() (real/data/augmentation.cpp) computes them. Pure.
PixelScale pixel_scale(const std::array<double, 3>& mean, const std::array<double, 3>& deviation);

/// What prepare_image() does for PadCropFlip and for None without `resize`, in NHWC: crop, padding (0 after
/// normalising; around images with one channel black), flip, normalise in fp32, round once. `draws`: [images] in device
/// memory. One launch.
void augment(Element element, const AugmentShape& shape, const unsigned char* stored, const ImageDraw* draws,
             const PixelScale& pixels, void* out, cudaStream_t stream);

/// [images, c, h, w] fp32 to [images, h, w, c_out] of `element`, channels c to c_out - 1 are 0. One launch.
void nchw_to_nhwc(Element element, int images, int c, int h, int w, int c_out, const float* in, void* out,
                  cudaStream_t stream);

}  // namespace lockstep::cuda
