#include "sim/fold/collective_lengths.hpp"

#include <map>
#include <string>

#include "sim/fold/exchanges.hpp"
#include "sim/fold/group_schedules.hpp"
#include "sim/fold/phase_simulation.hpp"
#include "sim/fold/traffic.hpp"

namespace lockstep::sim {

namespace {
constexpr std::int64_t kWholeMessages = 2000;  // a collective of no more is simulated whole
}

struct CollectiveLengths::Impl {
  Fabric& fabric;
  const EngineSettings& settings;
  std::map<std::string, Traffic> traffic;
  std::map<std::string, Exchanges> exchanges;

  Time phase(const CollectivePlan& plan, const Phase& phase, int protocol) {
    const std::string key = phase.name() + " " + std::to_string(plan.grid.x) + " " + std::to_string(protocol);
    if (phase.algorithm == PhaseAlgorithm::HalvingDoubling) {
      const ProtocolSpec& p = settings.library.protocols[at(protocol)];
      auto it = exchanges.find(key);
      if (it == exchanges.end()) it = exchanges.emplace(key, exchanges_of(fabric, settings, plan, phase, p)).first;
      return exchange_time(settings, plan, phase, it->second);
    }
    auto it = traffic.find(key);
    if (it == traffic.end()) it = traffic.emplace(key, traffic_of(fabric, settings, plan, phase)).first;
    return phase_time(fabric, settings, plan, phase, protocol, it->second);
  }
};

CollectiveLengths::CollectiveLengths(Fabric& fabric, const EngineSettings& settings)
    : impl_(std::make_unique<Impl>(Impl{fabric, settings, {}, {}})) {}
CollectiveLengths::~CollectiveLengths() = default;

Time CollectiveLengths::phase(const CollectivePlan& plan, const Phase& phase, int protocol) {
  return impl_->phase(plan, phase, protocol);
}

Time CollectiveLengths::of(const CollectivePlan& plan, int protocol) {
  Impl& i = *impl_;
  if (count(plan).messages <= kWholeMessages) return bare_collective_time(i.fabric, i.settings, plan, protocol);
  const ProtocolSpec& p = i.settings.library.protocols[at(protocol)];
  Time total;
  for (const Phase& phase : plan.phases) {
    total += phase.algorithm == PhaseAlgorithm::Tree ? p.tree_base : p.ring_base;
    total += i.phase(plan, phase, protocol);
  }
  return total;
}

}  // namespace lockstep::sim
