// Published schedules as values, for run files, tests and comparisons.
#pragma once

#include <cstdint>

#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Goyal et al. 2017 (arXiv:1706.02677), section 5.1: 0.1 kn / 256, reached from 0.1 within 5 epochs, divided by 10 at
/// epochs 30, 60 and 80. A run of 90 epochs.
ScheduleSpec goyal_schedule();

/// Fujitsu, MLPerf v0.6 open division (mlcommons/training_results_v0.6, JobScripts/parameters): peak 13, warm-up 36
/// epochs (540 steps of 15 an epoch), then power 2.2 over 780 steps (52 epochs) to 0.0025 x 13 = 0.0325; weight decay
/// with the rate. A run of 90 epochs.
ScheduleSpec fujitsu_v06_schedule();

/// The LARS presets of TensorFlow's reference by global batch: below 16,384 peak 10.0 and 5 warm-up epochs; below
/// 32,768 25.0 and 5; else 31.2 and 25; then power 2 to 1e-4 at the end of the run, steps counted from 0. (Batches
/// "16k" and "32k" in the source's words.)
ScheduleSpec mlperf_tf_schedule(std::int64_t global_batch);

}  // namespace lockstep
