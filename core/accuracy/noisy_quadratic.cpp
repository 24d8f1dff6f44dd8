#include "core/accuracy/noisy_quadratic.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/accuracy/fit.hpp"
#include "core/base/rng.hpp"
#include "core/optim/lr_schedule.hpp"
#include "core/optim/optimizer.hpp"

namespace lockstep {

namespace {

struct Tensor {
  const std::vector<double>* curvature;
  std::vector<double> theta, gradient, velocity;
};

/// Runs until `go_on(step, mean loss)` says no or most_steps are done; gives the number of steps done.
std::int64_t descend(const NoisyQuadratic& problem, const QuadraticRun& run,
                     const std::function<bool(std::int64_t, double)>& go_on) {
  std::vector<Tensor> tensors;
  for (int r = 0; r < run.replicas; ++r) {
    for (const auto& h : problem.layers) {
      const std::vector<double> zero(h.size(), 0.0);
      tensors.push_back({&h, std::vector<double>(h.size(), 1.0), zero, zero});
    }
  }
  Rng rng(run.seed, "noisy quadratic");
  const auto batch = static_cast<std::int64_t>(std::llround(run.batch));
  const double peak = peak_rate(run.schedule, batch), variance = problem.noise / run.batch;
  double before = 0;
  for (std::int64_t step = 0;; ++step) {
    double loss = 0;
    for (const Tensor& t : tensors) {
      for (std::size_t i = 0; i < t.theta.size(); ++i) loss += (*t.curvature)[i] * t.theta[i] * t.theta[i];
    }
    if (!go_on(step, 0.5 * loss / run.replicas) || step == run.most_steps) return step;
    const double lr =
        learning_rate(run.schedule, {static_cast<double>(step), 1, static_cast<double>(run.most_steps), batch});
    const StepValues values =
        step_values(run.optimizer, peak, lr, run.optimizer.weight_decay, momentum_scale(lr, before));
    before = lr;
    for (Tensor& t : tensors) {
      for (std::size_t i = 0; i < t.theta.size(); ++i) {
        const double h = (*t.curvature)[i];
        t.gradient[i] = h * t.theta[i] + std::sqrt(variance * h) * rng.normal();
      }
      update_tensor<double>(run.optimizer, TensorRole::Weight, false, values, t.theta, t.gradient, t.velocity);
    }
  }
}

double first_loss(const NoisyQuadratic& problem) {
  double sum = 0;
  for (const auto& layer : problem.layers) {
    for (double h : layer) sum += 0.5 * h;
  }
  return sum;
}

BatchScaling scaling(const NoisyQuadratic& problem, OptimizerKind kind, std::uint64_t seed) {
  constexpr int kRates = 26;  // 2 (where plain SGD stops converging at h = 1) down to 2^-11.5
  constexpr std::int64_t kMostSteps = 20000;
  QuadraticRun run;
  run.optimizer.kind = kind;
  run.optimizer.lars_variant = LarsVariant::Paper;
  run.optimizer.trust = 1;
  run.optimizer.momentum = 0;
  run.optimizer.weight_decay = 0;
  run.schedule.warmup = WarmupKind::None;
  run.schedule.decay = DecayKind::Constant;
  run.seed = seed;
  BatchScaling out;
  out.trials_per_point = kRates;
  // From the largest batch down, and from the last best rate on: what is slower than the best so far need not finish.
  int start = 0;
  for (int images = 16384; images >= 1; images /= 2) {
    const double batch = images;
    run.batch = batch;
    run.most_steps = kMostSteps;
    BatchScaling::Point best{batch, 0, 0, false};
    int best_rate = start;
    for (int k = 0; k < kRates; ++k) {
      const int i = (start + k) % kRates;
      run.schedule.base_lr = std::exp2(1 - 0.5 * i);
      const auto steps = steps_to_target(problem, run);
      if (!steps) continue;
      best = {batch, run.schedule.base_lr, *steps, i == 0 || i == kRates - 1};
      best_rate = i;
      run.most_steps = std::max<std::int64_t>(1, *steps - 1);
    }
    start = best_rate;
    if (best.steps > 0) out.points.push_back(best);
  }
  std::reverse(out.points.begin(), out.points.end());
  std::vector<AccuracyPoint> points;
  for (const auto& p : out.points) points.push_back({p.batch, 0, static_cast<double>(p.steps) * p.batch, 0});
  const Fit f = fit(epochs_forms().front(), points, "noisy quadratic model");
  out.critical_batch = f.shapes.front();
  out.least_steps = std::exp(f.linear.front()) / out.critical_batch;
  return out;
}

}  // namespace

NoisyQuadratic layered_quadratic() {
  NoisyQuadratic p;
  for (double scale : {1.0, 1.0 / 4, 1.0 / 16, 1.0 / 64}) {
    std::vector<double> layer;
    for (int i = 1; i <= 8; ++i) layer.push_back(scale / i);
    p.layers.push_back(std::move(layer));
  }
  return p;
}

double expected_square(double curvature, double noise, double lr, double batch, std::int64_t steps) {
  const double a = (1 - lr * curvature) * (1 - lr * curvature), b = lr * lr * noise * curvature / batch;
  const double shrunk = std::pow(a, static_cast<double>(steps));
  return a == 1 ? 1 + b * static_cast<double>(steps) : shrunk + b * (1 - shrunk) / (1 - a);
}

double expected_loss(const NoisyQuadratic& problem, double lr, double batch, std::int64_t steps) {
  double sum = 0;
  for (const auto& layer : problem.layers) {
    for (double h : layer) sum += 0.5 * h * expected_square(h, problem.noise, lr, batch, steps);
  }
  return sum;
}

std::optional<std::int64_t> steps_to_target(const NoisyQuadratic& problem, const QuadraticRun& run) {
  const double start = first_loss(problem), goal = run.target * start;
  constexpr double kDiverged = 100;
  bool reached = false;
  const std::int64_t steps = descend(problem, run, [&](std::int64_t, double loss) {
    reached = loss <= goal;
    return !reached && loss < kDiverged * start;
  });
  if (!reached) return std::nullopt;
  return steps;
}

double sampled_loss(const NoisyQuadratic& problem, const QuadraticRun& run) {
  double last = 0;
  const std::int64_t steps = descend(problem, run, [&](std::int64_t, double loss) {
    last = loss;
    return std::isfinite(loss);
  });
  return steps == run.most_steps ? last : std::numeric_limits<double>::infinity();
}

Mechanism batch_mechanism(const NoisyQuadratic& problem, std::uint64_t seed) {
  return {scaling(problem, OptimizerKind::Sgd, seed), scaling(problem, OptimizerKind::Lars, seed)};
}

}  // namespace lockstep
