#include "core/optim/lr_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep {

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
  if (e < warmup) {
    return s.warmup == WarmupKind::Constant ? s.warmup_start_lr : s.warmup_start_lr + (peak - s.warmup_start_lr) * e / warmup;
  }
  const double length = s.decay_epochs > 0 ? s.decay_epochs : point.total_epochs - warmup;
  const double f = length > 0 ? std::clamp((e - warmup) / length, 0.0, 1.0) : 0;
  switch (s.decay) {
    case DecayKind::Constant: return peak;
    case DecayKind::Step: {
      // A boundary that a whole number of steps reaches must not be missed for a rounding error of the epoch.
      constexpr double kSlack = 1e-9;
      const auto passed = std::count_if(s.step_epochs.begin(), s.step_epochs.end(), [&](double b) { return b <= e + kSlack; });
      return peak * std::pow(s.step_factor, static_cast<double>(passed));
    }
    case DecayKind::Linear: return s.end_lr + (peak - s.end_lr) * (1 - f);
    case DecayKind::Polynomial: return s.end_lr + (peak - s.end_lr) * std::pow(1 - f, s.power);
    case DecayKind::Cosine: return s.end_lr + (peak - s.end_lr) * (1 + std::cos(std::numbers::pi * f)) / 2;
  }
  return peak;
}

double weight_decay_factor(const ScheduleSpec& s, const SchedulePoint& point) {
  return s.weight_decay == "with_lr" ? learning_rate(s, point) / peak_rate(s, point.global_batch) : 1;
}

double momentum_scale(double rate, double previous_rate) { return previous_rate > 0 ? rate / previous_rate : 1; }

std::int64_t global_batch_at(const ScheduleSpec& s, double epoch, std::int64_t base) {
  std::int64_t batch = base;
  for (const auto& [from, value] : s.batches) {
    if (from <= epoch + 1e-9) batch = value;
  }
  return batch;
}

}  // namespace lockstep
