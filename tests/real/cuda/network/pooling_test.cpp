// Pooling kernels on the emulator, against plain loops in float64.
#include "real/cuda/network/pooling.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/base/rng.hpp"
#include "tests/real/cuda/emulation/emulator.hpp"

namespace lockstep::cuda {
namespace {

struct Case {
  int images, channels, h, w, kernel, stride, pad;
};

Layer layer_of(const Case& k, LayerKind kind) {
  Layer l;
  l.kind = kind;
  l.r = l.s = k.kernel;
  l.stride = k.stride;
  l.pad = k.pad;
  l.in = {k.channels, k.h, k.w};
  l.out = {k.channels, (k.h + 2 * k.pad - k.kernel) / k.stride + 1, (k.w + 2 * k.pad - k.kernel) / k.stride + 1};
  return l;
}

std::vector<float> random(std::size_t n, const char* name) {
  Rng rng(3, name);
  std::vector<float> out(n);
  for (float& v : out) v = static_cast<float>(rng.normal());
  return out;
}

/// Calls visit(position in y, position in x) for every cell of every window inside the image, row by row.
template <class Visit>
void cells(const Layer& l, int images, Visit visit) {
  for (int n = 0; n < images; ++n) {
    for (int p = 0; p < l.out.h; ++p) {
      for (int q = 0; q < l.out.w; ++q) {
        for (int c = 0; c < l.in.c; ++c) {
          for (int h = p * l.stride - l.pad; h < p * l.stride - l.pad + l.r; ++h) {
            for (int w = q * l.stride - l.pad; w < q * l.stride - l.pad + l.s; ++w) {
              if (h < 0 || h >= l.in.h || w < 0 || w >= l.in.w) continue;
              visit(static_cast<std::size_t>(((n * l.out.h + p) * l.out.w + q) * l.in.c + c),
                    static_cast<std::size_t>(((n * l.in.h + h) * l.in.w + w) * l.in.c + c));
            }
          }
        }
      }
    }
  }
}

const std::vector<Case> kCases = {{2, 3, 7, 5, 3, 2, 1},  {1, 8, 6, 6, 2, 2, 0}, {3, 16, 5, 9, 3, 1, 1},
                                  {1, 64, 8, 8, 3, 3, 0}, {2, 1, 9, 4, 4, 2, 2}, {1, 5, 3, 3, 3, 1, 0}};

TEST(Pooling, MaximumAndItsGradient) {
  for (const Case& k : kCases) {
    const Layer l = layer_of(k, LayerKind::MaxPool);
    const auto in = static_cast<std::size_t>(k.images * l.in.elements()),
               out = static_cast<std::size_t>(k.images * l.out.elements());
    std::vector<float> x = random(in, "x"), dy = random(out, "dy"), y(out), dx(in, 7);
    for (float& v : x) v = std::round(2 * v) / 2;  // many equal values: the first wins
    std::vector<unsigned char> winner(out);
    std::vector<std::size_t> won(out);
    std::vector<double> best(out, -std::numeric_limits<double>::infinity()), slope(in);
    cells(l, k.images, [&](std::size_t o, std::size_t i) {
      if (x[i] > best[o]) best[o] = x[i], won[o] = i;
    });
    for (std::size_t o = 0; o < out; ++o) slope[won[o]] += dy[o];
    max_pool_forward(Element::F32, l, k.images, x.data(), y.data(), winner.data(), nullptr);
    max_pool_backward(Element::F32, l, k.images, winner.data(), dy.data(), dx.data(), false, nullptr);
    for (std::size_t o = 0; o < out; ++o) ASSERT_EQ(y[o], best[o]);
    for (std::size_t i = 0; i < in; ++i) ASSERT_NEAR(dx[i], slope[i], 1e-5);  // at most 16 sums of values below 5
    std::vector<float> more(in, 100);
    max_pool_backward(Element::F32, l, k.images, winner.data(), dy.data(), more.data(), true, nullptr);
    for (std::size_t i = 0; i < in; ++i) ASSERT_NEAR(more[i], 100 + slope[i], 1e-4);
    std::vector<float> without(out);
    max_pool_forward(Element::F32, l, k.images, x.data(), without.data(), nullptr, nullptr);
    EXPECT_EQ(without, y);
  }
}

TEST(Pooling, MeanAndItsGradient) {
  for (const Case& k : kCases) {
    const Layer l = layer_of(k, LayerKind::AvgPool);
    const auto in = static_cast<std::size_t>(k.images * l.in.elements()),
               out = static_cast<std::size_t>(k.images * l.out.elements());
    const std::vector<float> x = random(in, "x"), dy = random(out, "dy");
    std::vector<float> y(out), dx(in, 7);
    std::vector<double> sum(out), count(out), slope(in);
    cells(l, k.images, [&](std::size_t o, std::size_t i) { sum[o] += x[i], ++count[o]; });
    cells(l, k.images, [&](std::size_t o, std::size_t i) { slope[i] += dy[o] / count[o]; });
    average_pool_forward(Element::F32, l, k.images, x.data(), y.data(), nullptr);
    average_pool_backward(Element::F32, l, k.images, dy.data(), dx.data(), false, nullptr);
    for (std::size_t o = 0; o < out; ++o) ASSERT_NEAR(y[o], sum[o] / count[o], 1e-5);
    for (std::size_t i = 0; i < in; ++i) ASSERT_NEAR(dx[i], slope[i], 1e-5);
    std::vector<float> more(in, 100);
    average_pool_backward(Element::F32, l, k.images, dy.data(), more.data(), true, nullptr);
    for (std::size_t i = 0; i < in; ++i) ASSERT_NEAR(more[i], 100 + slope[i], 1e-4);
  }
}

TEST(Pooling, NotANumberWinsItsWindow) {
  const Layer l = layer_of({1, 1, 2, 4, 2, 2, 0}, LayerKind::MaxPool);
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1, nan, -infinity, -infinity, 5, 2, -infinity, -infinity};
  std::vector<float> y(2);
  std::vector<unsigned char> winner(2);
  max_pool_forward(Element::F32, l, 1, x.data(), y.data(), winner.data(), nullptr);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(winner[0], 1);
  EXPECT_EQ(y[1], -infinity);
  EXPECT_EQ(winner[1], 0);
}

TEST(Pooling, OrderOfThreadsDoesNotMatter) {
  const Case k = kCases[2];
  const Layer l = layer_of(k, LayerKind::MaxPool);
  const auto in = static_cast<std::size_t>(k.images * l.in.elements()),
             out = static_cast<std::size_t>(k.images * l.out.elements());
  const std::vector<float> x = random(in, "x"), dy = random(out, "dy");
  std::vector<std::vector<float>> gradients;
  for (const auto order : {emulator::Order::Forward, emulator::Order::Reversed}) {
    emulator::order = order;
    std::vector<float> y(out), dx(in);
    std::vector<unsigned char> winner(out);
    max_pool_forward(Element::F32, l, k.images, x.data(), y.data(), winner.data(), nullptr);
    max_pool_backward(Element::F32, l, k.images, winner.data(), dy.data(), dx.data(), false, nullptr);
    gradients.push_back(dx);
  }
  emulator::order = emulator::Order::Forward;
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST(Pooling, AValueFromTheHost) {
  long long to = 0;
  store_value(-12345678901234, &to, nullptr);
  EXPECT_EQ(to, -12345678901234);
}

}  // namespace
}  // namespace lockstep::cuda
