// The noisy quadratic model: why steps to a target stop falling with the batch. A mechanism, never an ImageNet prediction.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Loss 1/2 sum h theta^2, gradient h theta + sqrt(noise h / B) xi with standard normal xi: the noise of one image has
/// covariance noise x curvature (Zhang et al. 2019, arXiv:1907.04164). All theta start at 1; the optimum is 0.
struct NoisyQuadratic {
  std::vector<std::vector<double>> layers;  ///< curvatures h > 0; a layer is one tensor to an optimizer
  double noise = 1;
};

/// Four layers of eight, h = scale / i, scales 1, 1/4, 1/16, 1/64: layers differ in scale, as in a network, which is
/// what layer-wise rates are for.
NoisyQuadratic layered_quadratic();

/// E[theta^2] after `steps` steps of plain SGD at constant rate: with a = (1 - lr h)^2 and b = lr^2 noise h / B the
/// recursion m' = a m + b gives a^t + b (1 - a^t) / (1 - a).
double expected_square(double curvature, double noise, double lr, double batch, std::int64_t steps);
/// 1/2 sum h E[theta^2].
double expected_loss(const NoisyQuadratic& problem, double lr, double batch, std::int64_t steps);

struct QuadraticRun {
  OptimizerSpec optimizer;
  ScheduleSpec schedule;  ///< epochs are steps here
  double batch = 1;
  double target = 0.01;         ///< of the loss at the start
  std::int64_t most_steps = 1;  ///< also the length that the schedule sees
  int replicas = 4;             ///< independent runs whose mean loss is watched
  std::uint64_t seed = 42;
};

/// Steps until the mean loss is at or below the target, by core's update_tensor() and learning_rate(); nothing if that takes
/// more than most_steps or diverges. Deterministic. Cost: about 30 ns per parameter, replica and step.
std::optional<std::int64_t> steps_to_target(const NoisyQuadratic& problem, const QuadraticRun& run);

/// Loss of the mean over replicas after exactly `run.most_steps` steps, by the same code; infinite if it diverged.
double sampled_loss(const NoisyQuadratic& problem, const QuadraticRun& run);

/// The best rate of a grid of 26 from 2 (twice where plain SGD without noise stops being fastest at the largest curvature 1)
/// down to 2^-11.5 in factors of sqrt(2), at every batch, and what McCandlish's form makes of the steps. Steps are those at which the mean
/// of four runs first meets the target: a little fewer than its expectation takes, alike for every batch and optimizer.
struct BatchScaling {
  struct Point {
    double batch = 0, rate = 0;
    std::int64_t steps = 0;
    bool at_edge = false;  ///< best rate at an end of the grid: steps are an upper bound
  };
  std::vector<Point> points;  ///< batches at which some rate reached the target
  int trials_per_point = 0;
  double critical_batch = 0, least_steps = 0;
};
/// SGD and LARS (Paper, trust 1, no momentum, no decay) over the same batches 1, 2, ..., 2^14, the same rates. Seconds.
struct Mechanism {
  BatchScaling sgd, lars;
};
Mechanism batch_mechanism(const NoisyQuadratic& problem, std::uint64_t seed);

}  // namespace lockstep
