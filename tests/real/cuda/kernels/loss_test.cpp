// The loss against core's.
#include "core/model/loss.hpp"

#include <gtest/gtest.h>

#include "real/cuda/kernels/softmax_cross_entropy.hpp"
#include "tests/real/cuda/kernels/buffer.hpp"

namespace lockstep::cuda {

TEST(SoftmaxCrossEntropy, EqualsCore) {
  for (const Element e : kElements) {
    for (const int classes : {1, 3, 10, 200}) {
      for (const int images : {1, 7, 300}) {
        if (images == 300 && classes != 10) continue;  // more than the threads that add them
        if (images == 300 && e != Element::F16) continue;
        for (const double smoothing : {0.0, 0.1}) {
          SCOPED_TRACE(name_of(e) + " " + std::to_string(classes) + " " + std::to_string(images));
          const auto k = static_cast<std::size_t>(classes), n = static_cast<std::size_t>(images);
          const Buffer logits(e, normals(n * k, 1, 3));
          std::vector<int> labels(n);
          for (std::size_t i = 0; i < n; ++i) labels[i] = i % 5 == 4 ? -1 : static_cast<int>(i * 7 % k);
          Buffer gradient(e, n * k), over(e, n * k);
          std::vector<ImageLoss> per_image(n);
          LossSums sums{};
          const float scale = 128;
          in_both_orders([&] {
            sums = LossSums{1.5, 10, 20};
            emulator::launched.clear();
            LossArgs a;
            a.images = images, a.classes = classes, a.element = e, a.logits = logits.data(), a.labels = labels.data(),
            a.smoothing = smoothing;
            a.gradient_scale = &scale, a.gradient = gradient.data(), a.per_image = per_image.data(), a.sums = &sums;
            softmax_cross_entropy(a, nullptr);
            EXPECT_EQ(emulator::launched.size(), 2u);
            const std::string image = image_of(sums) + gradient.image();
            for (std::size_t i = 0; i < n * k; ++i) over.set(i, logits[i]);
            LossSums other{};
            a.logits = a.gradient = over.data(), a.sums = &other;
            softmax_cross_entropy(a, nullptr);
            EXPECT_EQ(over.image(), gradient.image());
            return image;
          });
          double loss = 1.5;
          long long correct = 10, counted = 20;
          for (std::size_t i = 0; i < n; ++i) {
            std::vector<double> row, slope(k);
            for (std::size_t j = 0; j < k; ++j) row.push_back(logits[i * k + j]);
            if (labels[i] < 0) {
              for (std::size_t j = 0; j < k; ++j) ASSERT_EQ(gradient[i * k + j], 0);
              continue;
            }
            const double one = cross_entropy(row, labels[i], smoothing);
            EXPECT_NEAR(per_image[i].loss, one, 1e-13 * (1 + one));
            EXPECT_EQ(per_image[i].correct, top1(row, labels[i]) ? 1 : 0);
            cross_entropy_gradient(row, labels[i], smoothing, slope);
            for (std::size_t j = 0; j < k; ++j) {
              ASSERT_TRUE(near(e, slope[j] * 128, gradient[i * k + j], 0x1p-24 * std::fabs(slope[j] * 128) + 1e-11))
                  << i << " " << j;
            }
            loss += one, correct += top1(row, labels[i]) ? 1 : 0, ++counted;
          }
          EXPECT_NEAR(sums.loss, loss, 1e-12 * loss);
          EXPECT_EQ(sums.correct, correct);
          EXPECT_EQ(sums.counted, counted);
        }
      }
    }
  }
}

/// Without the largest logit of all warps fp64 would overflow.
TEST(SoftmaxCrossEntropy, LargeLogits) {
  for (std::size_t largest = 0; largest < 200; largest += 33) {
    std::vector<double> row(200, -1000);
    row[largest] = 2000;
    const Buffer logits(Element::F32, row);
    const int label = 7;
    ImageLoss one{};
    LossSums sums{};
    LossArgs a;
    a.images = 1, a.classes = 200, a.logits = logits.data(), a.labels = &label, a.per_image = &one, a.sums = &sums;
    softmax_cross_entropy(a, nullptr);
    EXPECT_NEAR(sums.loss, cross_entropy(row, label, 0), 1e-9);
  }
}

/// One row each: what is right, as core says it.
TEST(SoftmaxCrossEntropy, TiesAndNotANumberAsInCore) {
  const double nan = std::nan("");
  const std::vector<std::vector<double>> rows{{1, 2, 2},   {2, 2, 1},   {0, 0, 0},     {nan, 1, 0},
                                              {0, 1, nan}, {0, nan, 1}, {500, -500, 0}};
  for (const auto& row : rows) {
    for (int label = 0; label < 3; ++label) {
      const Buffer logits(Element::F32, row);
      Buffer gradient(Element::F32, 3);
      ImageLoss one{};
      LossSums sums{};
      LossArgs a;
      a.images = 1, a.classes = 3, a.logits = logits.data(), a.labels = &label, a.gradient = gradient.data(),
      a.per_image = &one, a.sums = &sums;
      softmax_cross_entropy(a, nullptr);
      EXPECT_EQ(one.correct, top1(row, label) ? 1 : 0)
          << row[0] << " " << row[1] << " " << row[2] << " label " << label;
      const double loss = cross_entropy(row, label, 0);
      EXPECT_TRUE(std::isnan(loss) ? std::isnan(one.loss) : std::fabs(one.loss - loss) <= 1e-13 * (1 + loss))
          << one.loss << " " << loss;
      EXPECT_EQ(sums.counted, 1);
    }
  }
}

TEST(SoftmaxCrossEntropy, LabelBeyondTheClassesIsSeenAndTouchesNothing) {
  const Buffer logits(Element::F16, normals(3, 1));
  Buffer gradient(Element::F16, 3);
  const int label = 3;
  ImageLoss one{};
  LossSums sums{};
  LossArgs a;
  a.images = 1, a.classes = 3, a.element = Element::F16, a.logits = logits.data(), a.labels = &label,
  a.gradient = gradient.data();
  a.per_image = &one, a.sums = &sums;
  softmax_cross_entropy(a, nullptr);
  EXPECT_TRUE(std::isnan(sums.loss));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(gradient[i], 0);
}

}  // namespace lockstep::cuda
