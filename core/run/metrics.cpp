#include "core/run/metrics.hpp"

namespace lockstep {

double images_per_second(std::int64_t images, Time step) { return static_cast<double>(images) / step.seconds(); }

double scaling_efficiency(double rate, int n, double base_rate, int base_n) {
  return (rate / n) / (base_rate / base_n);
}

}  // namespace lockstep
