// Learning rate, weight decay and batch size as pure functions of the epoch.
#pragma once

#include <cstdint>

#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Where a step stands in its run.
struct SchedulePoint {
  double epoch = 0;        ///< at the start of the step, fractional; step / steps per epoch for a constant batch
  double step_epochs = 0;  ///< length of this step in epochs: what the two ways of counting steps differ by
  double total_epochs = 0;
  std::int64_t global_batch = 0;
};

/// Rate after warm-up, before decay: base_lr, times global_batch / linear_scaling_base where that is set
/// (linear scaling rule: Goyal et al. 2017, arXiv:1706.02677, section 2.1).
double peak_rate(const ScheduleSpec& schedule, std::int64_t global_batch);

/// Warm-up epochs that fit into the run: warmup_epochs, at most total_epochs; 0 without warm-up.
double effective_warmup(const ScheduleSpec& schedule, double total_epochs);

/// Rate of the step at `point`. With W = effective warm-up, h = step_epochs, T = total_epochs,
/// e = epoch, plus h if `first_step_is_one` (MLPerf's MXNet reference counts steps from 1, the TF one from 0):
///   e < W:  gradual: start + (peak - start) e / W;  constant: start                  (Goyal et al., section 2.2; per
///   step) else, with f = clamp((e - W) / D, 0, 1):
///     constant:    peak
///     step:        peak factor^(boundaries at or before `epoch`); never shifted, so it drops with the epoch's first
///     step linear:      end + (peak - end)(1 - f)
///     polynomial:  end + (peak - end)(1 - f)^power       (MLPerf: power 2; Fujitsu v0.6: 2.2)
///     cosine:      end + (peak - end)(1 + cos(pi f)) / 2
/// D = decay_epochs where it is set; else T - W, and T - W + h for a polynomial that counts from 0, as the TF
/// reference has it (decay over T - W + 1 steps: its last update keeps a rate above `end`; MXNet's reaches `end`
/// exactly).
/// Not negative for rates that are not; continuous except for `step` and constant warm-up. Pure.
double learning_rate(const ScheduleSpec& schedule, const SchedulePoint& point);

/// Factor on the weight decay: 1, or rate / peak where the decay follows the rate ("with_lr": Fujitsu, MLPerf v0.6).
/// Fujitsu's own factor counts warm-up steps from 0 and its rate counts them from 1, and after warm-up the factor
/// stays at 539/540 of the rate's (mlcommons/training_results_v0.6, explorer.py and MXNet's scheduler); Lockstep drops
/// these differences of one step in 540.
double weight_decay_factor(const ScheduleSpec& schedule, const SchedulePoint& point);

/// lr_t / lr_{t-1} for velocities that contain the rate (Goyal et al., section 3, remark 2); 1 when the previous rate
/// is 0 or unknown.
double momentum_scale(double rate, double previous_rate);

/// Batch-size schedule (Smith et al., arXiv:1711.00489): the latest entry of `batches` at or before `epoch`, else
/// `base`.
std::int64_t global_batch_at(const ScheduleSpec& schedule, double epoch, std::int64_t base);

}  // namespace lockstep
