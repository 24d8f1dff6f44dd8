#include "sim/step/contention.hpp"

#include <algorithm>

namespace lockstep::sim {

namespace {
constexpr double kMostTaken = 0.9;
double taken(double part, double whole) { return whole > 0 ? std::min(part / whole, kMostTaken) : 0; }
}  // namespace

KernelLoad& KernelLoad::operator+=(const KernelLoad& o) {
  multiprocessors += o.multiprocessors, memory += o.memory;
  return *this;
}

KernelLoad& KernelLoad::operator-=(const KernelLoad& o) {
  multiprocessors -= o.multiprocessors, memory -= o.memory;
  return *this;
}

KernelLoad kernel_load(const CollectivePlan& plan, const LibrarySpec& library, const GpuSpec& gpu, Time duration) {
  KernelLoad load;
  if (gpu.multiprocessors.value == 0 || duration <= Time::zero() || plan.elements == 0) return load;
  std::int64_t rings = 0;
  for (const Phase& phase : plan.phases)
    rings = std::max<std::int64_t>(rings, static_cast<std::int64_t>(phase.orders.size()));
  load.multiprocessors = library.channels.value;
  if (rings > 0) load.multiprocessors = std::min(load.multiprocessors, 2 * rings);
  const double sent = static_cast<double>(count(plan).elements_sent) * plan.element_bytes / plan.grid.size();
  load.memory = static_cast<std::int64_t>(sent * library.memory_per_byte.value / duration.seconds());
  return load;
}

Slowdown slowdown(const KernelLoad& load, const GpuSpec& gpu) {
  return {1 / (1 - taken(static_cast<double>(load.multiprocessors), gpu.multiprocessors.value)),
          1 / (1 - taken(static_cast<double>(load.memory), gpu.memory_achieved.value.bytes_per_second()))};
}

}  // namespace lockstep::sim
