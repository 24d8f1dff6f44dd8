#include "experiments/check/limits.hpp"

namespace lockstep::check {

std::optional<NvlinkGeneration> nvlink_of(int compute_capability) {
  const auto gb = [](double g) { return Bandwidth::gigabytes_per_second(g); };
  switch (compute_capability) {
    case 60: return NvlinkGeneration{"NVLink1", gb(20), 4};
    case 70: return NvlinkGeneration{"NVLink2", gb(25), 6};
    case 80: return NvlinkGeneration{"NVLink3", gb(25), 12};
    case 86: return NvlinkGeneration{"NVLink3 (bridge)", gb(14.0625), 4};
    case 90: return NvlinkGeneration{"NVLink4", gb(25), 18};
    case 100: return NvlinkGeneration{"NVLink5", gb(50), 18};
    default: return std::nullopt;
  }
}

PcieGeneration pcie_of(int compute_capability) {
  const int generation = compute_capability == 0 || compute_capability >= 90 ? 5 : compute_capability >= 80 ? 4 : 3;
  const double transfers = 8e9 * (1 << (generation - 3));  // per second and lane
  return {generation, Bandwidth::bytes_per_second(16 * transfers * 128 / 130 / 8)};
}

double most_half_over_fp32(int compute_capability) {
  if (compute_capability == 86 || compute_capability == 89) return 6;
  return compute_capability < 100 ? 20 : 40;
}

Bandwidth fastest_port() { return Bandwidth::gigabits_per_second(800); }

LatencyWindow latency_window() { return {Time::nanoseconds(10), Time::milliseconds(1)}; }

}  // namespace lockstep::check
