// What tests of real runs share on every device.
#pragma once

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/spec/run_spec.hpp"

namespace lockstep::test {

/// A small residual network on synthetic images, two epochs of ten steps: 8 convolutions, 16 x 16 pixels.
inline RunSpec small_run() {
  RunSpec run;
  run.model = {"resnet8", 16, 4};
  run.training.precision = Precision::Fp32;
  run.training.global_batch = 32;
  run.training.epochs = 2;
  run.training.evaluate_every = 0;
  run.training.log_every = 1000;
  run.training.seed = 11;
  run.optimizer.weight_decay = 1e-3;
  run.schedule.base_lr = 0.05;
  run.schedule.warmup = WarmupKind::None;
  run.schedule.decay = DecayKind::Cosine;
  run.data.kind = DataKind::Synthetic;
  run.data.training_images = 320;
  run.data.validation_images = 70;
  run.data.threads = 1;
  run.buckets.size = Bytes::kib(64);
  run.allreduce.algorithm = AllreduceAlgorithm::Ring;
  run.real.threads = 1;
  return run;
}

/// Euclidean length of the difference, relative to that of b.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    size += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace lockstep::test
