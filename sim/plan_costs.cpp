#include "sim/plan_costs.hpp"

namespace lockstep::sim {

namespace {

constexpr int kByEvents = 32;  // ranks: up to there every message takes milliseconds

}  // namespace

PlanCosts::PlanCosts(Machine& machine, const RunSpec& run, const ClusterSpec& cluster)
    : machine_(machine),
      protocol_(run.allreduce.protocol),
      sound_(sound_fabric(machine, run, cluster)),
      lengths_(sound_ ? *sound_ : machine.fabric, machine.engine) {}

CostSource PlanCosts::source(const CollectivePlan& plan) {
  return plan.protocol >= 0 ? CostSource::Library : source(plan.grid.size());
}

CostSource PlanCosts::source(int ranks) { return ranks <= kByEvents ? CostSource::Events : CostSource::Folded; }

Time PlanCosts::by_events(const CollectivePlan& plan) {
  const int protocol = choose_protocol(plan, machine_.context, protocol_);
  return bare_collective_time(machine_.fabric, machine_.engine, plan, protocol);
}

Time PlanCosts::of(const CollectivePlan& plan) {
  const int protocol = choose_protocol(plan, machine_.context, protocol_);
  switch (source(plan)) {
    case CostSource::Folded: return lengths_.of(plan, protocol);
    case CostSource::Library: return estimate(plan, machine_.context, protocol);
    case CostSource::Events: break;
  }
  return by_events(plan);
}

}  // namespace lockstep::sim
