#include "core/optim/lr_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep {

namespace {

// A boundary that a whole number of steps reaches must not be missed for a rounding error of the epoch.
constexpr double kEpochSlack = 1e-9;

double decay_length(const ScheduleSpec& s, const SchedulePoint& point, double warmup) {
  if (s.decay_epochs > 0) return s.decay_epochs;
  const bool tf_polynomial = s.decay == DecayKind::Polynomial && !s.first_step_is_one;
  return point.total_epochs - warmup + (tf_polynomial ? point.step_epochs : 0);
}

}  // namespace

double peak_rate(const ScheduleSpec& s, std::int64_t global_batch) {
  if (s.linear_scaling_base <= 0) return s.base_lr;
  return s.base_lr * static_cast<double>(global_batch) / static_cast<double>(s.linear_scaling_base);
}

double effective_warmup(const ScheduleSpec& s, double total_epochs) {
  return s.warmup == WarmupKind::None ? 0 : std::min(s.warmup_epochs, total_epochs);
}

double learning_rate(const ScheduleSpec& s, const SchedulePoint& point) {
  const double peak = peak_rate(s, point.global_batch);
  const double e = point.epoch + (s.first_step_is_one ? point.step_epochs : 0);
  const double warmup = effective_warmup(s, point.total_epochs);
  if (e < warmup - kEpochSlack) {
    if (s.warmup == WarmupKind::Constant) return s.warmup_start_lr;
    return s.warmup_start_lr + (peak - s.warmup_start_lr) * e / warmup;
  }
  const double length = decay_length(s, point, warmup);
  const double f = length > 0 ? std::clamp((e - warmup) / length, 0.0, 1.0) : 0;
  switch (s.decay) {
    case DecayKind::Constant: return peak;
    case DecayKind::Step: {
      const auto passed = std::count_if(s.step_epochs.begin(), s.step_epochs.end(),
                                        [&](double boundary) { return boundary <= point.epoch + kEpochSlack; });
      return peak * std::pow(s.step_factor, static_cast<double>(passed));
    }
    case DecayKind::Linear: return s.end_lr + (peak - s.end_lr) * (1 - f);
    case DecayKind::Polynomial: return s.end_lr + (peak - s.end_lr) * std::pow(1 - f, s.power);
    case DecayKind::Cosine: return s.end_lr + (peak - s.end_lr) * (1 + std::cos(std::numbers::pi * f)) / 2;
  }
  return peak;
}

double weight_decay_factor(const ScheduleSpec& s, const SchedulePoint& point) {
  const double peak = peak_rate(s, point.global_batch);
  return s.weight_decay == WeightDecayKind::WithRate && peak > 0 ? learning_rate(s, point) / peak : 1;
}

double momentum_scale(double rate, double previous_rate) { return previous_rate > 0 ? rate / previous_rate : 1; }

std::int64_t global_batch_at(const ScheduleSpec& s, double epoch, std::int64_t base) {
  std::int64_t batch = base;
  double latest = -1;
  for (const auto& [from, value] : s.batches) {
    if (from > epoch + kEpochSlack || from < latest) continue;
    latest = from;
    batch = value;
  }
  return batch;
}

}  // namespace lockstep
