// A phase of rings, chains or trees, simulated by the ranks that stand for all.
#pragma once

#include "core/plan/collective.hpp"
#include "sim/fold/traffic.hpp"
#include "sim/network/collective_engine.hpp"

namespace lockstep::sim {

/// Time of the phase on an idle network if all its ranks begin together, without the protocol's base. `protocol`: index into the library's.
/// `traffic`: traffic_of() this phase, of any length.
Time phase_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                int protocol, const Traffic& traffic);

}  // namespace lockstep::sim
