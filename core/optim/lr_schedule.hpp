// Learning rate, weight decay and batch size as pure functions of the epoch.
#pragma once

#include <cstdint>

#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Where a step stands in its run.
struct SchedulePoint {
  double epoch = 0;             ///< at the start of the step, fractional; step / steps per epoch for a constant batch
  double step_epochs = 0;       ///< length of this step in epochs: shifts the point by one step where steps count from 1
  double total_epochs = 0;
  std::int64_t global_batch = 0;
};

/// Rate after warm-up, before decay: base_lr, times global_batch / linear_scaling_base where that is set (Goyal et al., section 2.1).
double peak_rate(const ScheduleSpec& schedule, std::int64_t global_batch);

/// Warm-up epochs that fit into the run.
double effective_warmup(const ScheduleSpec& schedule, double total_epochs);

/// Rate of the step at `point`, with e its epoch (plus one step if `first_step_is_one`: MLPerf's MXNet reference counts from 1, the TF one from 0),
/// W the warm-up, D = decay_epochs or total - W, f = clamp((e - W) / D, 0, 1):
///   e < W:  gradual: start + (peak - start) e / W;  constant: start          (Goyal et al., section 2.2; per step)
///   else    constant: peak;  step: peak factor^(boundaries at or before e);  linear: end + (peak - end)(1 - f);
///           polynomial: end + (peak - end)(1 - f)^power (MLPerf: power 2; Fujitsu: 2.2);  cosine: end + (peak - end)(1 + cos(pi f)) / 2.
/// Never negative. Pure.
double learning_rate(const ScheduleSpec& schedule, const SchedulePoint& point);

/// Factor on the weight decay: 1, or rate / peak where the decay follows the rate (Fujitsu, MLPerf v0.6: own warm-up and decay).
double weight_decay_factor(const ScheduleSpec& schedule, const SchedulePoint& point);

/// lr_t / lr_{t-1} for velocities that contain the rate (Goyal et al., section 3, remark 2); 1 when there is no previous rate.
double momentum_scale(double rate, double previous_rate);

/// Batch-size schedule (Smith et al. 2017): the last entry of `batches` at or before `epoch`, else `base`.
std::int64_t global_batch_at(const ScheduleSpec& schedule, double epoch, std::int64_t base);

}  // namespace lockstep
