#include "real/data/resample.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

constexpr double kSlack = 1e-3;     // regions come from divisions
constexpr std::size_t kBlock = 16;  // a loop of known length becomes vector code at -O2

/// out[i] = sum over t of weight[t] * rows[t * stride + i], 0 <= i < n.
void mix_rows(const std::uint8_t* rows, std::size_t stride, const float* weight, std::size_t taps, std::size_t n,
              float* out) {
  std::size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    float sum[kBlock] = {};
    for (std::size_t t = 0; t < taps; ++t) {
      const std::uint8_t* p = rows + t * stride + i;
      for (std::size_t k = 0; k < kBlock; ++k) sum[k] += weight[t] * static_cast<float>(p[k]);
    }
    std::copy(sum, sum + kBlock, out + i);
  }
  for (; i < n; ++i) {
    float sum = 0;
    for (std::size_t t = 0; t < taps; ++t) sum += weight[t] * static_cast<float>(rows[t * stride + i]);
    out[i] = sum;
  }
}

/// One output row of each plane from a row of pixels of three channels, which has one more float behind it.
void mix_three(const float* row, std::size_t begin, const Taps& taps, std::size_t outputs, std::size_t plane,
               float* out) {
  for (std::size_t x = 0; x < outputs; ++x) {
    const float* p = row + 3 * (taps.first[x] - begin);
    const float* weight = taps.of(x);
    float sum[4] = {};  // the fourth is the neighbour's; four are one vector
    for (std::size_t t = 0; t < taps.count; ++t, p += 3) {
      for (std::size_t k = 0; k < 4; ++k) sum[k] += weight[t] * p[k];
    }
    for (std::size_t k = 0; k < 3; ++k) out[k * plane + x] = sum[k];
  }
}

void mix_any(const float* row, std::size_t channels, std::size_t begin, const Taps& taps, std::size_t outputs,
             std::size_t plane, float* out) {
  for (std::size_t x = 0; x < outputs; ++x) {
    for (std::size_t k = 0; k < channels; ++k) {
      const float* p = row + channels * (taps.first[x] - begin) + k;
      float sum = 0;
      for (std::size_t t = 0; t < taps.count; ++t) sum += taps.of(x)[t] * p[t * channels];
      out[k * plane + x] = sum;
    }
  }
}

}  // namespace

void fill_taps(double begin, double length, int limit, int outputs, Taps& taps) {
  const double scale = length / outputs, support = std::max(1.0, scale);
  const auto low = [&](double centre) { return std::max(0, static_cast<int>(std::floor(centre - support + 0.5))); };
  const auto high = [&](double centre) {
    return std::min(limit, static_cast<int>(std::floor(centre + support + 0.5)));
  };
  int most = 1;
  for (int i = 0; i < outputs; ++i) {
    const double centre = begin + (i + 0.5) * scale;
    most = std::max(most, high(centre) - low(centre));
  }
  taps.count = static_cast<std::size_t>(most);
  taps.first.resize(static_cast<std::size_t>(outputs));
  taps.weight.assign(static_cast<std::size_t>(outputs) * taps.count, 0.0f);
  for (int i = 0; i < outputs; ++i) {
    const double centre = begin + (i + 0.5) * scale;
    const int from = low(centre), to = high(centre);
    const int first = std::min(from, limit - most);  // so that every tap may be read
    const auto weight = [&](int p) { return std::max(0.0, 1 - std::abs(p + 0.5 - centre) / support); };
    double sum = 0;
    for (int p = from; p < to; ++p) sum += weight(p);
    float* out = taps.weight.data() + static_cast<std::size_t>(i) * taps.count;
    for (int p = from; p < to; ++p) out[p - first] = static_cast<float>(weight(p) / sum);
    taps.first[static_cast<std::size_t>(i)] = static_cast<std::size_t>(first);
  }
}

int resample_reach(double length, int count) { return static_cast<int>(std::ceil(std::max(1.0, length / count))); }

void resample(const Image& image, const Region& region, int out_h, int out_w, std::span<float> out) {
  LOCKSTEP_EXPECTS(region.height > 0 && region.width > 0 && out_h > 0 && out_w > 0);
  LOCKSTEP_EXPECTS(region.top >= -kSlack && region.top + region.height <= image.h + kSlack);
  LOCKSTEP_EXPECTS(region.left >= -kSlack && region.left + region.width <= image.w + kSlack);
  const auto c = static_cast<std::size_t>(image.c), w = static_cast<std::size_t>(image.w);
  const auto rows = static_cast<std::size_t>(out_h), columns = static_cast<std::size_t>(out_w);
  LOCKSTEP_EXPECTS(out.size() == c * rows * columns &&
                   image.pixels.size() == c * w * static_cast<std::size_t>(image.h));
  thread_local Taps across, down;  // scratch, of no meaning between calls
  thread_local std::vector<float> mixed;
  fill_taps(region.left, region.width, image.w, out_w, across);
  fill_taps(region.top, region.height, image.h, out_h, down);
  const std::size_t begin = *std::min_element(across.first.begin(), across.first.end());
  const std::size_t end = *std::max_element(across.first.begin(), across.first.end()) + across.count;
  mixed.resize((end - begin) * c + 1);
  mixed.back() = 0;
  for (std::size_t y = 0; y < rows; ++y) {
    mix_rows(image.pixels.data() + (down.first[y] * w + begin) * c, w * c, down.of(y), down.count, (end - begin) * c,
             mixed.data());
    float* to = out.data() + y * columns;
    if (c == 3) {
      mix_three(mixed.data(), begin, across, columns, rows * columns, to);
    } else {
      mix_any(mixed.data(), c, begin, across, columns, rows * columns, to);
    }
  }
}

}  // namespace lockstep
