// Figures of merit of a run.
#pragma once

#include "core/base/units.hpp"

namespace lockstep {

/// Images per second of a step: global batch / step time. images >= 0, step > 0.
double images_per_second(std::int64_t images, Time step);
/// Weak-scaling efficiency: (rate at n / n) / (rate at n0 / n0).
double scaling_efficiency(double rate, int n, double base_rate, int base_n);

}  // namespace lockstep
