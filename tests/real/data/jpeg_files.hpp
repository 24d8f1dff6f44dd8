// JPEG files that tests write themselves.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <jpeglib.h>

#include "core/base/rng.hpp"

namespace lockstep::test {

struct JpegKind {
  int components = 3;
  int subsampling = 2;  ///< of colour, in both directions
  bool progressive = false;
  /// Else a smooth picture: red grows to the right, green downwards, blue is half; grey: the ramp to the right.
  bool noise = false;
};

inline std::string encode(int w, int h, const JpegKind& kind) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<unsigned>(w);
  info.image_height = static_cast<unsigned>(h);
  const int n = info.input_components = kind.components;
  info.in_color_space = n == 1 ? JCS_GRAYSCALE : n == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = n == 3 ? kind.subsampling : 1;
  if (kind.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  std::vector<unsigned char> row(static_cast<std::size_t>(w * n));
  Rng rng(1, "pixels");
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      unsigned char* p = row.data() + x * n;
      p[0] = static_cast<unsigned char>(255 * x / w);
      if (n >= 3) {
        p[1] = static_cast<unsigned char>(255 * y / h);
        p[2] = 128;
      }
      if (n == 4) p[3] = 255;  // Adobe's inverted black: none
      for (int c = 0; kind.noise && c < n; ++c) p[c] = static_cast<unsigned char>(rng.below(256));
    }
    JSAMPROW rows[1] = {row.data()};
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  std::string out(reinterpret_cast<char*>(memory), size);
  jpeg_destroy_compress(&info);
  std::free(memory);
  return out;
}

}  // namespace lockstep::test
