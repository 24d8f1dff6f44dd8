// Pixels with a label, and which part of a stored image they are.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

/// A rectangle in pixels; pixel (y, x) covers [y, y + 1) x [x, x + 1).
struct Region {
  double top = 0, left = 0, height = 0, width = 0;
};

/// Where the pixels of an Image lie in the stored image, where that is larger. The stored image is shrunk to ceil(side
/// * eighths / 8) and rows from `top`, columns from `left` are kept.
struct View {
  int stored_h = 0, stored_w = 0;  ///< 0: the pixels are the stored image
  int top = 0, left = 0;           ///< in shrunk pixels
  int eighths = 8;                 ///< 8, 4, 2 or 1
};

/// Pixels row by row, channels of a pixel together.
struct Image {
  int c = 0, h = 0, w = 0;
  std::vector<std::uint8_t> pixels;  ///< [h, w, c]
  int label = 0;
  View view;
  /// [h, w, c] in the memory of a device instead; `pixels` is empty then, and the stored image is whole.
  const std::uint8_t* on_device = nullptr;

  int stored_h() const { return view.stored_h > 0 ? view.stored_h : h; }
  int stored_w() const { return view.stored_w > 0 ? view.stored_w : w; }
  /// A rectangle of the stored image, in the pixels that are here.
  Region here(const Region& stored) const {
    const double scale = view.eighths / 8.0;
    return {stored.top * scale - view.top, stored.left * scale - view.left, stored.height * scale,
            stored.width * scale};
  }
};

}  // namespace lockstep
