// ReLU, additions, conversions, packing and bias.
#include <gtest/gtest.h>

#include "real/cuda/kernels/activation.hpp"
#include "real/cuda/kernels/bias.hpp"
#include "real/cuda/kernels/cast.hpp"
#include "real/cuda/kernels/optimizer.hpp"
#include "real/cuda/kernels/pack.hpp"
#include "tests/real/cuda/kernels/buffer.hpp"

namespace lockstep::cuda {

namespace {

constexpr std::size_t kSizes[] = {1, 7, 8, 64, 1000, 2049};

/// Every element, size, and both kinds of alignment.
template <class F>
void for_all(F&& check) {
  for (const Element e : kElements) {
    for (const std::size_t n : kSizes) {
      for (const std::size_t skew : {0, 1}) {
        SCOPED_TRACE(name_of(e) + " n " + std::to_string(n) + " skew " + std::to_string(skew));
        check(e, n, skew);
      }
    }
  }
}

}  // namespace

TEST(Activation, ReluForwardAndBackward) {
  for_all([](Element e, std::size_t n, std::size_t skew) {
    const auto count = static_cast<long long>(n);
    Buffer x(e, normals(n, 1), skew);
    if (n > 7) x.set(3, 0), x.set(4, -0.0), x.set(5, HUGE_VAL), x.set(6, std::nan(""));
    const Buffer dy(e, normals(n, 2), skew), old(e, normals(n, 3), skew);
    Buffer y(e, n, skew), dx(e, n, skew), sum(e, n, skew);
    in_both_orders([&] {
      for (std::size_t i = 0; i < n; ++i) sum.set(i, old[i]);
      relu_forward(e, count, x.data(), y.data(), nullptr);
      relu_backward(e, count, y.data(), dy.data(), dx.data(), false, nullptr);
      relu_backward(e, count, y.data(), dy.data(), sum.data(), true, nullptr);
      return y.image() + dx.image() + sum.image();
    });
    for (std::size_t i = 0; i < n; ++i) {
      if (std::isnan(x[i])) {
        EXPECT_TRUE(std::isnan(y[i]));
        continue;
      }
      EXPECT_EQ(y[i], std::max(x[i], 0.0)) << i;
      EXPECT_EQ(dx[i], x[i] > 0 ? dy[i] : 0) << i;
      EXPECT_TRUE(near(e, old[i] + (x[i] > 0 ? dy[i] : 0), sum[i], 0x1p-24 * 8)) << i;
    }
  });
}

TEST(Activation, AddAndAccumulate) {
  for_all([](Element e, std::size_t n, std::size_t skew) {
    const auto count = static_cast<long long>(n);
    const Buffer a(e, normals(n, 1), skew), b(e, normals(n, 2), skew);
    Buffer y(e, n, skew), relu(e, n, skew), sum(e, n, skew);
    in_both_orders([&] {
      for (std::size_t i = 0; i < n; ++i) sum.set(i, b[i]);
      add(e, count, a.data(), b.data(), y.data(), false, nullptr);
      add(e, count, a.data(), b.data(), relu.data(), true, nullptr);
      accumulate(e, count, a.data(), sum.data(), nullptr);
      return y.image() + relu.image() + sum.image();
    });
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_TRUE(near(e, a[i] + b[i], y[i], 0x1p-24 * std::fabs(a[i] + b[i]))) << i;
      EXPECT_EQ(relu[i], std::max(y[i], 0.0)) << i;
      EXPECT_EQ(sum[i], y[i]) << i;
    }
  });
}

TEST(Activation, NothingToDoIsNoLaunch) {
  emulator::launched.clear();
  relu_forward(Element::F16, 0, nullptr, nullptr, nullptr);
  fill(Element::F16, 0, 1, nullptr, nullptr);
  pack(Element::F16, {}, 1, nullptr, nullptr);
  update_tensors({}, {}, nullptr, nullptr, nullptr, nullptr);
  EXPECT_TRUE(emulator::launched.empty());
}

TEST(Cast, ScalesAddsAndFills) {
  for_all([](Element e, std::size_t n, std::size_t skew) {
    const auto count = static_cast<long long>(n);
    Buffer x(Element::F32, normals(n, 1), skew), low(e, n, skew), wide(Element::F32, n, skew),
        sum(Element::F32, n, skew), filled(e, n, skew);
    in_both_orders([&] {
      for (std::size_t i = 0; i < n; ++i) sum.set(i, 3);
      cast_from_float(e, count, x.floats(), 0.3f, low.data(), nullptr);
      cast_to_float(e, count, low.data(), 0.7f, wide.floats(), false, nullptr);
      cast_to_float(e, count, low.data(), 0.7f, sum.floats(), true, nullptr);
      fill(e, count, -1.5f, filled.data(), nullptr);
      return low.image() + wide.image() + sum.image() + filled.image();
    });
    for (std::size_t i = 0; i < n; ++i) {
      const double small = 0.3f * x[i], back = 0.7f * low[i];
      EXPECT_TRUE(near(e, small, low[i], 0x1p-24 * std::fabs(small))) << i;
      EXPECT_TRUE(near(Element::F32, back, wide[i], 0)) << i;
      EXPECT_TRUE(near(Element::F32, 3 + back, sum[i], 0x1p-24 * std::fabs(back))) << i;
      EXPECT_EQ(filled[i], -1.5);
    }
  });
}

/// Pieces around the chunk length and an empty one, with a gap between them in the bucket that stays as it was.
TEST(Pack, GoesAndComesBack) {
  const std::vector<long long> sizes{5, kChunkElements, 0, 2 * kChunkElements + 3, 1};
  const std::vector<TensorChunk> chunks = chunk_table(sizes);
  ASSERT_EQ(chunks.size(), 6u);
  for (const Element e : kElements) {
    std::vector<std::vector<float>> pieces;
    std::vector<PackEntry> entries;
    long long offset = 3;
    for (const long long n : sizes) {
      std::vector<float> piece;
      for (double v : normals(static_cast<std::size_t>(n), 11 + static_cast<std::uint64_t>(n)))
        piece.push_back(static_cast<float>(v));
      pieces.push_back(piece);
    }
    std::vector<std::vector<float>> before = pieces;
    for (std::size_t t = 0; t < sizes.size(); ++t)
      entries.push_back({pieces[t].data(), sizes[t], offset}), offset += sizes[t] + 2;
    Buffer bucket(e, static_cast<std::size_t>(offset));
    const PackTables tables{entries.data(), chunks.data(), static_cast<int>(chunks.size())};
    in_both_orders([&] {
      pack(e, tables, 0.25f, bucket.data(), nullptr);
      return bucket.image();
    });
    for (auto& piece : pieces) std::fill(piece.begin(), piece.end(), -7.0f);
    unpack(e, tables, 4, bucket.data(), nullptr);
    std::vector<bool> used(bucket.size());
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      for (std::size_t i = 0; i < pieces[t].size(); ++i) {
        const auto at = static_cast<std::size_t>(entries[t].offset) + i;
        used[at] = true;
        ASSERT_TRUE(near(e, 0.25 * static_cast<double>(before[t][i]), bucket[at], 0)) << name_of(e) << t << " " << i;
        ASSERT_EQ(static_cast<double>(pieces[t][i]), 4 * bucket[at]);
      }
    }
    for (std::size_t i = 0; i < used.size(); ++i) EXPECT_TRUE(used[i] || std::isnan(bucket[i])) << i;
  }
}

TEST(Bias, AddsAndSums) {
  for (const Element e : kElements) {
    for (const int channels : {1, 3, 10, 64, 1000}) {
      for (const long long rows : {1, 7, 300}) {
        if (channels == 1000 && rows != 7) continue;
        SCOPED_TRACE(name_of(e) + " " + std::to_string(channels) + " " + std::to_string(rows));
        const auto c = static_cast<std::size_t>(channels), n = static_cast<std::size_t>(rows) * c;
        const Buffer x(e, normals(n, 1)), bias(Element::F32, normals(c, 2));
        Buffer y(e, n), gradient(Element::F32, c), sum(Element::F32, c);
        Memory workspace(bias_gradient_workspace_bytes(rows, channels));
        in_both_orders([&] {
          for (std::size_t i = 0; i < n; ++i) y.set(i, x[i]);
          for (std::size_t i = 0; i < c; ++i) sum.set(i, 5);
          add_bias(e, rows, channels, static_cast<const float*>(bias.data()), y.data(), nullptr);
          bias_gradient(e, rows, channels, x.data(), gradient.floats(), false, workspace.data(), nullptr);
          bias_gradient(e, rows, channels, x.data(), sum.floats(), true, workspace.data(), nullptr);
          return y.image() + gradient.image() + sum.image();
        });
        std::vector<double> total(c), size(c);
        for (std::size_t i = 0; i < n; ++i) {
          total[i % c] += x[i], size[i % c] += std::fabs(x[i]);
          ASSERT_TRUE(near(e, x[i] + bias[i % c], y[i], 0x1p-24 * std::fabs(x[i] + bias[i % c]))) << i;
        }
        for (std::size_t i = 0; i < c; ++i) {
          ASSERT_NEAR(gradient[i], total[i], 0x1p-24 * (20 * size[i] + std::fabs(total[i])));
          ASSERT_NEAR(sum[i], 5 + total[i], 0x1p-24 * (20 * size[i] + std::fabs(total[i]) + 5));
        }
      }
    }
  }
}

}  // namespace lockstep::cuda
