// A phase of rings, chains or trees, simulated by the ranks that stand for all.
#pragma once

#include "core/plan/collective.hpp"
#include "sim/fold/leads.hpp"
#include "sim/fold/traffic.hpp"
#include "sim/network/collective_engine.hpp"

namespace lockstep::sim {

/// Time of the phase on an idle network from its last rank's beginning to its last rank's end, without the protocol's base. `protocol`: index into the
/// library's. `traffic`: traffic_of() this phase, of any length. A class begins when its ranks do on average.
///
/// Rings (but not chains) take no notice of `leads`: of the last rank's first piece the others know nothing before it comes, and from
/// then on it goes round the whole ring, so nothing of its way can have been done before.
Time phase_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                int protocol, const Traffic& traffic, const Leads& leads = {});

}  // namespace lockstep::sim
