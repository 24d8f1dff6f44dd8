#include "core/optim/schedule_presets.hpp"

namespace lockstep {

ScheduleSpec goyal_schedule() {
  ScheduleSpec s;
  s.base_lr = 0.1;
  s.linear_scaling_base = 256;
  s.warmup = WarmupKind::Gradual;
  s.warmup_epochs = 5;
  s.warmup_start_lr = 0.1;
  s.decay = DecayKind::Step;
  s.step_epochs = {30, 60, 80};
  s.step_factor = 0.1;
  return s;
}

ScheduleSpec fujitsu_v06_schedule() {
  ScheduleSpec s;
  s.base_lr = 13;
  s.warmup = WarmupKind::Gradual;
  s.warmup_epochs = 36;
  s.decay = DecayKind::Polynomial;
  s.power = 2.2;
  s.end_lr = 0.0325;
  s.decay_epochs = 52;
  s.weight_decay = WeightDecayKind::WithRate;
  return s;
}

ScheduleSpec mlperf_tf_schedule(std::int64_t global_batch) {
  ScheduleSpec s;
  s.base_lr = global_batch < 16384 ? 10.0 : global_batch < 32768 ? 25.0 : 31.2;
  s.warmup = WarmupKind::Gradual;
  s.warmup_epochs = global_batch < 32768 ? 5 : 25;
  s.decay = DecayKind::Polynomial;
  s.power = 2;
  s.end_lr = 1e-4;
  return s;
}

}  // namespace lockstep
