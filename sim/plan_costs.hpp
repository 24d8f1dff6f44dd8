// What the planner asks the simulator: what a collective would cost.
#pragma once

#include <optional>
#include <string>

#include "sim/fold/collective_lengths.hpp"
#include "sim/machine.hpp"

namespace lockstep::sim {

/// How a cost was come by.
enum class CostSource {
  Events,  ///< every message simulated: worlds of up to 32 ranks
  Folded,  ///< nodes of each kind stand for all (sim/fold/collective_lengths.hpp)
  Library  ///< the estimate by which the library itself chooses (sim/network/estimate.hpp)
};

/// Costs of collectives over all ranks of a machine, alone on it, launch left out, with the protocol that the run asks for. Where links are slow or have
/// failed, worlds of more than 32 ranks are costed as if they had not: one node stands for many.
class PlanCosts {
 public:
  /// All three must outlive it.
  PlanCosts(Machine& machine, const RunSpec& run, const ClusterSpec& cluster);

  /// Time::never() where the library would not take the plan. Cost: up to 0.2 s for 2,048 ranks in halving and doubling, tens of milliseconds for others,
  /// less from the second bucket on.
  Time of(const CollectivePlan& plan);
  /// Every message, whatever the number of ranks.
  Time by_events(const CollectivePlan& plan);
  static CostSource source(const CollectivePlan& plan);
  static CostSource source(int ranks);  ///< of plans that the library did not lay out

  /// How long collectives take on sound links, folded.
  CollectiveLengths& lengths() { return lengths_; }

 private:
  Machine& machine_;
  std::string protocol_;
  std::optional<Fabric> sound_;  ///< where the machine's own has slow or failed links
  CollectiveLengths lengths_;
};

}  // namespace lockstep::sim
