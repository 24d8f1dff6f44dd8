// What augmentation reads in device memory. Plain data, shared by host and device.
#pragma once

namespace lockstep::cuda {

/// Draw (real/data/augmentation.hpp) of one image without resampling: the image's corner lies at (top, left) of the
/// input field, then the field is mirrored if `flip`.
struct ImageDraw {
  long long image;  ///< its place among the stored images
  int top, left;
  int flip;  ///< 0 or 1
};

/// (pixel / 255 - mean) / deviation as pixel x scale + offset, by channel of the input; the third also serves those
/// beyond.
struct PixelScale {
  float scale[3], offset[3];
};

/// Stored: [*, stored_h, stored_w, stored_c] bytes. Output: [images, h, w, c_out], channels c to c_out - 1 are 0.
struct AugmentShape {
  int images;
  int stored_h, stored_w, stored_c;  ///< stored_c >= 1; a single one is repeated over the channels
  int h, w, c, c_out;                ///< c_out >= c
};

}  // namespace lockstep::cuda
