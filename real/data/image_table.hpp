// What is told of images to whoever prepares them, the host or a device. Plain data without includes: kernels, which are compiled without the host's
// headers, read it too.
#pragma once

namespace lockstep {

/// (pixel / 255 - mean) / deviation as pixel x scale + offset, by channel of the input; the third also serves those beyond.
struct PixelScale {
  float scale[3], offset[3];
};

/// What chance decided for the colours of one image; colour.hpp says what becomes of them.
struct ColourChange {
  int steps;        ///< of `order`: 3, or 0 without jitter
  int order[3];     ///< 0: brightness, 1: contrast, 2: saturation
  float factor[3];  ///< of the step of the same position
  float shift[3];   ///< added to red, green and blue after them
};

/// Outputs of one image row that are mixed at once on a device hold at most this many values of the rows behind them.
constexpr int kMostMixed = 6144;

/// One image on its way to a device that prepares images itself. Its data is `size` bytes at `at`; 0 where all of it is elsewhere.
struct PackedImage {
  enum Kind : int {
    Laid,       ///< [h, w, c] bytes, the corner at (top, left) of the input; outside is padding
    Resampled,  ///< [h, w, c] bytes, then the taps of resample(), at `taps`: first column of each output column (int), weights [W, across] (float), first
                ///< row of each output row, weights [H, down]
    Prepared    ///< fp32 [C, H, W], all done
  };
  long long at, size;
  const unsigned char*
      elsewhere;  ///< in the device's memory: the bytes, which then do not stand before the taps; null: they do
  Kind kind;
  int h, w, c;  ///< c = 0: no image, all zeros after normalising
  int top, left;
  int flip;  ///< 0 or 1; in Prepared done already
  int taps, across, down;
  int columns;  ///< outputs of a row that are mixed at once
  int recolour;
  ColourChange colours;  ///< where `recolour`
};

}  // namespace lockstep
