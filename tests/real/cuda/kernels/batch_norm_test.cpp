// Batch norm against sums in fp64.
#include "real/cuda/kernels/batch_norm.hpp"

#include <gtest/gtest.h>

#include "real/cuda/kernels/column_grid.hpp"
#include "tests/real/cuda/kernels/buffer.hpp"

namespace lockstep::cuda {

namespace {

constexpr double kUnit = 0x1p-24;

struct Case {
  Element element;
  long long rows;
  int channels;
  bool addend, relu;
  double centre;  ///< mean of the input in its standard deviations
};

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const Element e : kElements) {
    for (const int c : {3, 5, 8, 24, 64, 72}) {
      for (const long long rows : {1, 7, 1000}) {
        if (rows == 1000 && (c == 5 || c == 8 || c == 72)) continue;
        const bool odd = (rows + c) % 2 != 0;
        list.push_back({e, rows, c, odd, true, 0});
        list.push_back({e, rows, c, !odd, false, 0});
      }
    }
    list.push_back({e, 3000, 16, true, true, 0});
  }
  list.push_back(
      {Element::F32, 1000, 64, false, false, 1000});  // sums of squares without a shift would lose six digits here
  list.push_back({Element::F32, 1000, 3, false, true, 1000});
  return list;
}

/// Sums and their fp64 values for one case.
struct Oracle {
  explicit Oracle(const Case& k, const Buffer& x)
      : mean(static_cast<std::size_t>(k.channels)), variance(mean), spread(mean), sums(mean) {
    const auto c = static_cast<std::size_t>(k.channels), n = static_cast<std::size_t>(k.rows);
    for (std::size_t i = 0; i < c; ++i) {
      for (std::size_t r = 0; r < n; ++r) mean[i] += x[r * c + i] / static_cast<double>(n);
      double shifted = 0;
      for (std::size_t r = 0; r < n; ++r) {
        variance[i] += (x[r * c + i] - mean[i]) * (x[r * c + i] - mean[i]) / static_cast<double>(n);
        shifted += std::fabs(x[r * c + i] - x[i]) / static_cast<double>(n);
      }
      const double k2 = variance[i] > 0 ? (mean[i] - x[i]) * (mean[i] - x[i]) / variance[i] : 0;
      sums[i] = 16 + 4 + static_cast<double>(n) / 2048;  // roundings of a thread and of the tree in a block
      variance_error(i, (1 + k2) * sums[i] * kUnit);
      mean_error.push_back(sums[i] * kUnit * shifted + kUnit * std::fabs(mean[i]));
    }
  }
  void variance_error(std::size_t i, double relative) { spread[i] = relative; }
  std::vector<double> mean, variance, spread, sums, mean_error;
};

std::vector<double> sequence(int channels, double from, double by) {
  std::vector<double> v;
  for (int c = 0; c < channels; ++c) v.push_back(from + by * c);
  return v;
}

void check_case(const Case& k) {
  SCOPED_TRACE(name_of(k.element) + " rows " + std::to_string(k.rows) + " channels " + std::to_string(k.channels) +
               (k.relu ? " relu" : "") + (k.addend ? " addend" : ""));
  const BatchNormShape shape{k.rows, k.channels, k.element};
  const auto c = static_cast<std::size_t>(k.channels), n = static_cast<std::size_t>(k.rows) * c;
  const Buffer x(k.element, normals(n, 1, 2, 2 * k.centre)), addend(k.element, normals(n, 2));
  const Buffer gamma(Element::F32, sequence(k.channels, 0.5, 0.03)),
      beta(Element::F32, sequence(k.channels, -0.3, 0.02));
  const Oracle oracle(k, x);
  const double epsilon = 1e-5;

  Buffer y(k.element, n), mean(Element::F32, c), inverse(Element::F32, c);
  Buffer average_mean(Element::F32, c), average_variance(Element::F32, c);
  Memory mask(relu_mask_bytes(shape)), workspace(batch_norm_workspace_bytes(shape));
  in_both_orders([&] {
    for (std::size_t i = 0; i < c; ++i) average_mean.set(i, 0.25), average_variance.set(i, 1);
    emulator::launched.clear();
    BatchNormTraining a;
    a.x = x.data(), a.addend = k.addend ? addend.data() : nullptr, a.y = y.data();
    a.gamma = static_cast<const float*>(gamma.data()), a.beta = static_cast<const float*>(beta.data());
    a.mean = mean.floats(), a.inverse_deviation = inverse.floats();
    a.average_mean = average_mean.floats(), a.average_variance = average_variance.floats();
    a.relu_mask = k.relu ? static_cast<unsigned char*>(mask.data()) : nullptr;
    a.epsilon = epsilon;
    batch_norm_training(shape, a, workspace.data(), nullptr);
    EXPECT_EQ(emulator::launched.size(), 3u);
    const std::string bits = k.relu ? std::string(static_cast<const char*>(mask.data()), mask.bytes()) : "";
    return y.image() + mean.image() + inverse.image() + average_mean.image() + average_variance.image() + bits;
  });

  const auto bit = [&](std::size_t i) {
    return !k.relu || (static_cast<const unsigned char*>(mask.data())[i / 8] >> (i % 8) & 1) != 0;
  };
  const double unbiased = k.rows > 1 ? static_cast<double>(k.rows) / static_cast<double>(k.rows - 1) : 1;
  for (std::size_t i = 0; i < c; ++i) {
    const double wanted = 1 / std::sqrt(oracle.variance[i] + epsilon);
    EXPECT_NEAR(mean[i], oracle.mean[i], oracle.mean_error[i]);
    EXPECT_NEAR(inverse[i], wanted, wanted * (oracle.spread[i] / 2 + 2 * kUnit));
    EXPECT_NEAR(average_mean[i], 0.9 * 0.25 + 0.1 * oracle.mean[i],
                0.1 * oracle.mean_error[i] + 2 * kUnit * (0.25 + std::fabs(oracle.mean[i])));
    EXPECT_NEAR(average_variance[i], 0.9 + 0.1 * unbiased * oracle.variance[i],
                (1 + oracle.variance[i]) * (oracle.spread[i] + 2 * kUnit));
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t ch = i % c;
    const double f = gamma[ch] / std::sqrt(oracle.variance[ch] + epsilon), d = x[i] - oracle.mean[ch],
                 a = k.addend ? addend[i] : 0;
    const double before = d * f + beta[ch] + a;
    const double error = f * oracle.mean_error[ch] + std::fabs(d * f) * (oracle.spread[ch] + 4 * kUnit) +
                         4 * kUnit * (std::fabs(beta[ch]) + std::fabs(a));
    ASSERT_TRUE(near(k.element, k.relu ? std::max(before, 0.0) : before, y[i], error)) << i;
    if (!k.relu) continue;
    ASSERT_TRUE(bit(i) || y[i] <= 0) << i;
    ASSERT_TRUE(bit(i) == (before > 0) || std::fabs(before) <= error) << i;
  }

  // Backward, from the statistics and the mask of the kernel.
  const Buffer dy(k.element, normals(n, 3));
  const std::vector<double> there = normals(n, 4);
  for (const bool add : {false, true}) {
    Buffer dx(k.element, n), d_addend(k.element, n), dgamma(Element::F32, c), dbeta(Element::F32, c);
    in_both_orders([&] {
      for (std::size_t i = 0; add && i < n; ++i) dx.set(i, there[i]), d_addend.set(i, there[i] + 1);
      for (std::size_t i = 0; add && i < c; ++i) dgamma.set(i, 10), dbeta.set(i, 20);
      emulator::launched.clear();
      BatchNormBackward b;
      b.x = x.data(), b.dy = dy.data(), b.relu_mask = k.relu ? static_cast<const unsigned char*>(mask.data()) : nullptr;
      b.gamma = static_cast<const float*>(gamma.data()), b.mean = mean.floats(), b.inverse_deviation = inverse.floats();
      b.dgamma = dgamma.floats(), b.dbeta = dbeta.floats(), b.add_parameters = add;
      b.dx = dx.data(), b.add_dx = add, b.d_addend = k.addend ? d_addend.data() : nullptr, b.add_addend = add;
      batch_norm_backward(shape, b, workspace.data(), nullptr);
      EXPECT_EQ(emulator::launched.size(), 3u);
      return dx.image() + d_addend.image() + dgamma.image() + dbeta.image();
    });
    const Buffer old(k.element, there);
    std::vector<double> sum(c), along(c), size(c), size_along(c);
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t ch = i % c;
      const double d = bit(i) ? dy[i] : 0, xhat = (x[i] - mean[ch]) * inverse[ch];
      sum[ch] += d, along[ch] += d * xhat, size[ch] += std::fabs(d), size_along[ch] += std::fabs(d * xhat);
    }
    const double rows = static_cast<double>(k.rows), slack = (20 + rows / 2048) * kUnit;
    for (std::size_t i = 0; i < c; ++i) {
      EXPECT_NEAR(dbeta[i], (add ? 20 : 0) + sum[i], slack * size[i] + kUnit * (std::fabs(sum[i]) + 20));
      EXPECT_NEAR(dgamma[i], (add ? 10 : 0) + along[i], slack * size_along[i] + kUnit * (std::fabs(along[i]) + 10));
    }
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t ch = i % c;
      const double d = bit(i) ? dy[i] : 0, f = gamma[ch] * inverse[ch], xhat = (x[i] - mean[ch]) * inverse[ch];
      const double before = add ? old[i] : 0;
      const double wanted = f * (d - sum[ch] / rows - xhat * along[ch] / rows);
      const double error =
          f * (4 * kUnit * std::fabs(d) + 2 * slack * (size[ch] + std::fabs(xhat) * size_along[ch]) / rows) +
          4 * kUnit * std::fabs(before);
      ASSERT_TRUE(near(k.element, before + wanted, dx[i], error)) << i;
      if (!k.addend) continue;
      const Buffer old_addend(k.element, std::vector<double>{there[i] + 1});
      ASSERT_TRUE(
          near(k.element, add ? old_addend[0] + d : d, d_addend[i], 2 * kUnit * (1 + std::fabs(before) + std::fabs(d))))
          << i;
    }
  }
}

}  // namespace

TEST(BatchNorm, TrainingAndBackwardAgainstFp64) {
  for (const Case& k : cases()) check_case(k);
}

TEST(BatchNorm, InferenceAgainstFp64) {
  for (const Element e : kElements) {
    for (const int channels : {3, 5, 64}) {
      for (const long long rows : {1, 7, 300}) {
        for (const bool relu : {false, true}) {
          const auto c = static_cast<std::size_t>(channels), n = static_cast<std::size_t>(rows) * c;
          const Buffer x(e, normals(n, 5, 2)), addend(e, normals(n, 6)),
              gamma(Element::F32, sequence(channels, 0.5, 0.03));
          const Buffer beta(Element::F32, sequence(channels, -0.3, 0.02)),
              mean(Element::F32, sequence(channels, -1, 0.1));
          const Buffer variance(Element::F32, sequence(channels, 0.1, 0.2));
          Buffer y(e, n);
          in_both_orders([&] {
            emulator::launched.clear();
            BatchNormInference a;
            a.x = x.data(), a.addend = relu ? addend.data() : nullptr, a.y = y.data(), a.relu = relu;
            a.gamma = static_cast<const float*>(gamma.data()), a.beta = static_cast<const float*>(beta.data());
            a.average_mean = static_cast<const float*>(mean.data()),
            a.average_variance = static_cast<const float*>(variance.data());
            batch_norm_inference({rows, channels, e}, a, nullptr);
            EXPECT_EQ(emulator::launched.size(), 1u);
            return y.image();
          });
          for (std::size_t i = 0; i < n; ++i) {
            const std::size_t ch = i % c;
            const double scaled = (x[i] - mean[ch]) * gamma[ch] / std::sqrt(variance[ch] + 1e-5),
                         other = relu ? addend[i] : 0;
            const double wanted = scaled + beta[ch] + other;
            const double error = 8 * kUnit * (std::fabs(scaled) + std::fabs(beta[ch]) + std::fabs(other));
            ASSERT_TRUE(near(e, relu ? std::max(wanted, 0.0) : wanted, y[i], error))
                << name_of(e) << " " << channels << " " << i;
          }
        }
      }
    }
  }
}

/// Gradients may take the place of dy, and the output that of the input: bits as without.
TEST(BatchNorm, InPlaceEqualsOutOfPlace) {
  for (const int channels : {5, 16}) {
    const BatchNormShape shape{50, channels, Element::F16};
    const auto c = static_cast<std::size_t>(channels), n = 50 * c;
    const Buffer ones(Element::F32, sequence(channels, 1, 0)), x(Element::F16, normals(n, 7));
    Buffer y(Element::F16, n), same(Element::F16, x.values()), mean(Element::F32, c), inverse(Element::F32, c);
    Memory workspace(batch_norm_workspace_bytes(shape)), mask(relu_mask_bytes(shape));
    BatchNormTraining a;
    a.x = x.data(), a.y = y.data(), a.gamma = a.beta = static_cast<const float*>(ones.data());
    a.mean = mean.floats(), a.inverse_deviation = inverse.floats(),
    a.relu_mask = static_cast<unsigned char*>(mask.data());
    batch_norm_training(shape, a, workspace.data(), nullptr);
    a.x = a.y = same.data();
    batch_norm_training(shape, a, workspace.data(), nullptr);
    EXPECT_EQ(y.image(), same.image());

    const Buffer dy(Element::F16, normals(n, 8));
    Buffer dx(Element::F16, n), d_addend(Element::F16, n), over(Element::F16, dy.values()),
        over_addend(Element::F16, dy.values());
    Buffer dgamma(Element::F32, c), dbeta(Element::F32, c);
    BatchNormBackward b;
    b.x = x.data(), b.dy = dy.data(), b.relu_mask = a.relu_mask, b.gamma = a.gamma, b.mean = a.mean,
    b.inverse_deviation = a.inverse_deviation;
    b.dgamma = dgamma.floats(), b.dbeta = dbeta.floats(), b.dx = dx.data(), b.d_addend = d_addend.data();
    batch_norm_backward(shape, b, workspace.data(), nullptr);
    const std::string dx_image = dx.image();
    b.dy = b.dx = over.data(), b.d_addend = nullptr;
    batch_norm_backward(shape, b, workspace.data(), nullptr);
    EXPECT_EQ(over.image(), dx_image);
    b.dy = b.d_addend = over_addend.data(), b.dx = dx.data();
    batch_norm_backward(shape, b, workspace.data(), nullptr);
    EXPECT_EQ(over_addend.image(), d_addend.image());
    EXPECT_EQ(dx.image(), dx_image);
  }
}

TEST(BatchNorm, NotANumberStaysInItsChannel) {
  const BatchNormShape shape{100, 8, Element::F32};
  Buffer x(Element::F32, normals(800, 9)), y(Element::F32, 800), mean(Element::F32, 8), inverse(Element::F32, 8);
  x.set(8 * 37 + 3, std::nan(""));
  const Buffer ones(Element::F32, sequence(8, 1, 0));
  Memory workspace(batch_norm_workspace_bytes(shape));
  BatchNormTraining a;
  a.x = x.data(), a.y = y.data(), a.gamma = a.beta = static_cast<const float*>(ones.data()), a.mean = mean.floats(),
  a.inverse_deviation = inverse.floats();
  batch_norm_training(shape, a, workspace.data(), nullptr);
  for (std::size_t i = 0; i < 800; ++i) EXPECT_EQ(std::isnan(y[i]), i % 8 == 3) << i;
}

/// Grids of the sizes that ResNet-50 has at 256 images: within a GPU's limits, whole, and enough blocks where there is
/// work.
TEST(ColumnGrid, CoversLargeShapes) {
  struct Size {
    long long rows;
    int channels;
  };
  for (const Size s : {Size{256LL * 112 * 112, 64},
                       {256LL * 56 * 56, 256},
                       {256LL * 7 * 7, 2048},
                       {256LL * 7 * 7, 512},
                       {1LL << 31, 3}}) {
    for (const ColumnGrid& g : {sum_grid(s.rows, s.channels), apply_grid(s.rows, s.channels)}) {
      EXPECT_LE(g.parts, 65535);
      EXPECT_GE(g.parts * g.rows_per_part, s.rows);
      EXPECT_LT((g.parts - 1) * g.rows_per_part, s.rows);
      EXPECT_GE(static_cast<long long>(g.tiles) * g.width * column_vector(s.channels), s.channels);
      EXPECT_GE(static_cast<long long>(g.tiles) * g.parts, 390);
    }
    EXPECT_LE(sum_grid(s.rows, s.channels).parts, 512);
  }
}

}  // namespace lockstep::cuda
