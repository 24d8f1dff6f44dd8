#include "real/data/colour.hpp"

#include <array>
#include <utility>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

struct Planes {
  float *r, *g, *b;
  float luma(std::size_t i) const { return 0.299f * r[i] + 0.587f * g[i] + 0.114f * b[i]; }
};

float mean_luma(const Planes& p, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += p.luma(i);
  return static_cast<float>(sum / static_cast<double>(n));
}

void jitter(double strength, Rng& rng, ColourChange& out) {
  out.steps = 3;
  for (int i = 0; i < 3; ++i) out.order[i] = i;
  for (std::size_t i = 3; i > 1; --i) std::swap(out.order[i - 1], out.order[rng.below(i)]);
  for (float& f : out.factor) f = static_cast<float>(1 + strength * (2 * rng.uniform() - 1));
}

/// Eigenvalues and eigenvectors are those of the original, for pixels on a scale of 255.
void lighting(double sigma, Rng& rng, ColourChange& out) {
  constexpr double kValue[3] = {55.46, 4.794, 1.148};
  constexpr double kVector[3][3] = {{-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}};
  std::array<double, 3> alpha{};
  for (std::size_t k = 0; k < 3; ++k) alpha[k] = sigma * rng.normal() * kValue[k];
  for (std::size_t c = 0; c < 3; ++c) {
    double shift = 0;
    for (std::size_t k = 0; k < 3; ++k) shift += alpha[k] * kVector[c][k];
    out.shift[c] = static_cast<float>(shift);
  }
}

}  // namespace

ColourChange draw_colours(const ColourNoise& noise, Rng& rng) {
  ColourChange out{};
  if (noise.jitter > 0) jitter(noise.jitter, rng, out);
  if (noise.lighting > 0) lighting(noise.lighting, rng, out);
  return out;
}

void change_colours(const ColourChange& change, std::size_t plane, std::span<float> rgb) {
  LOCKSTEP_EXPECTS(rgb.size() == 3 * plane && plane > 0);
  const Planes p{rgb.data(), rgb.data() + plane, rgb.data() + 2 * plane};
  for (int k = 0; k < change.steps; ++k) {
    const float f = change.factor[k], mean = change.order[k] == 1 ? mean_luma(p, plane) : 0;
    for (std::size_t i = 0; i < plane; ++i) {
      const float towards = change.order[k] == 2 ? p.luma(i) : mean;
      for (float* v : {p.r, p.g, p.b}) v[i] = towards + (v[i] - towards) * f;
    }
  }
  for (std::size_t c = 0; c < 3; ++c) {
    float* v = c == 0 ? p.r : c == 1 ? p.g : p.b;
    for (std::size_t i = 0; i < plane; ++i) v[i] += change.shift[c];
  }
}

}  // namespace lockstep
