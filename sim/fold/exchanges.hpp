// Halving and doubling, of all ranks but without events.
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan/collective.hpp"
#include "sim/network/collective_engine.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

/// How the messages of halving and doubling travel, by rank and step: whatever their lengths.
struct Exchanges {
  std::vector<std::int64_t> first;  ///< by rank: its first entry in `costs`; size world + 1
  std::vector<MessageCost>
      costs;  ///< cap: also the share on each link, if all ranks sent their step of that number at once
};

/// A message of step k gets on each link an equal share among those that all ranks send in their step k.
Exchanges exchanges_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                       const ProtocolSpec& protocol);

/// When the last rank is done, from 0: what each step of each rank takes, from the steps before. `exchanges`: of this phase, of any length.
Time exchange_time(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   const Exchanges& exchanges);

}  // namespace lockstep::sim
