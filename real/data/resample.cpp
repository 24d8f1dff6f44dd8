#include "real/data/resample.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

/// For each output position the first input position and its weights, `taps` of them.
struct Weights {
  int taps = 0;
  std::vector<int> first;
  std::vector<float> weight;
};

Weights weights_of(double begin, double length, int limit, int count) {
  Weights w;
  const double scale = length / count, support = std::max(1.0, scale);
  w.taps = static_cast<int>(std::ceil(support)) * 2 + 1;
  w.first.resize(static_cast<std::size_t>(count));
  w.weight.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(w.taps), 0.0f);
  for (int i = 0; i < count; ++i) {
    const double centre = begin + (i + 0.5) * scale;
    const int low = std::max(0, static_cast<int>(std::floor(centre - support + 0.5)));
    const int high = std::min(limit, static_cast<int>(std::floor(centre + support + 0.5)));
    // The window is kept inside the image, so that every tap may be read.
    const int first = std::clamp(low, 0, std::max(0, limit - w.taps));
    double sum = 0;
    for (int p = low; p < high; ++p) sum += std::max(0.0, 1 - std::abs(p + 0.5 - centre) / support);
    float* out = w.weight.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(w.taps);
    for (int p = low; p < high; ++p)
      out[p - first] = static_cast<float>(std::max(0.0, 1 - std::abs(p + 0.5 - centre) / support) / sum);
    w.first[static_cast<std::size_t>(i)] = first;
  }
  return w;
}

}  // namespace

void resample(const Image& image, const Region& region, int out_h, int out_w, std::vector<float>& out) {
  LOCKSTEP_EXPECTS(region.height > 0 && region.width > 0 && out_h > 0 && out_w > 0);
  const Weights across = weights_of(region.left, region.width, image.w, out_w);
  const Weights down = weights_of(region.top, region.height, image.h, out_h);
  const int c = image.c;
  const int top = down.first.front(), bottom = std::min(image.h, down.first.back() + down.taps);
  const auto row_size = static_cast<std::size_t>(out_w) * static_cast<std::size_t>(c);
  thread_local std::vector<float> rows;  // scratch, of no meaning between calls
  rows.assign(static_cast<std::size_t>(bottom - top) * row_size, 0.0f);
  const int across_taps = std::min(across.taps, image.w), down_taps = std::min(down.taps, image.h);
  for (int y = top; y < bottom; ++y) {
    const std::uint8_t* from = image.pixels.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(image.w) *
                                                         static_cast<std::size_t>(c);
    float* to = rows.data() + static_cast<std::size_t>(y - top) * row_size;
    for (int x = 0; x < out_w; ++x) {
      const float* weight = across.weight.data() + static_cast<std::size_t>(x) * static_cast<std::size_t>(across.taps);
      const std::uint8_t* p =
          from + static_cast<std::size_t>(across.first[static_cast<std::size_t>(x)]) * static_cast<std::size_t>(c);
      if (c == 3) {
        float r = 0, g = 0, b = 0;
        for (int t = 0; t < across_taps; ++t, p += 3) {
          r += weight[t] * p[0];
          g += weight[t] * p[1];
          b += weight[t] * p[2];
        }
        to[3 * x] = r;
        to[3 * x + 1] = g;
        to[3 * x + 2] = b;
      } else {
        for (int t = 0; t < across_taps; ++t) {
          for (int k = 0; k < c; ++k) to[c * x + k] += weight[t] * p[c * t + k];
        }
      }
    }
  }
  out.assign(static_cast<std::size_t>(out_h) * row_size, 0.0f);
  for (int y = 0; y < out_h; ++y) {
    const float* weight = down.weight.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(down.taps);
    float* to = out.data() + static_cast<std::size_t>(y) * row_size;
    for (int t = 0; t < down_taps; ++t) {
      if (weight[t] == 0) continue;
      const float* from =
          rows.data() + static_cast<std::size_t>(down.first[static_cast<std::size_t>(y)] + t - top) * row_size;
      for (std::size_t i = 0; i < row_size; ++i) to[i] += weight[t] * from[i];
    }
  }
}

}  // namespace lockstep
