// Halving and doubling: all ranks, but few moments.
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan/collective.hpp"
#include "sim/fold/leads.hpp"
#include "sim/network/collective_engine.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

/// How the messages of halving and doubling travel, whatever their lengths. Twins, ranks whose messages cross the same links in every step and go to twins
/// (GPUs that share an adapter), are one sender.
struct Exchanges {
  struct Step {
    double sent = 0,
           added =
               0;  ///< shares of the group's buffer: what its message carries; what it adds to its own when it receives
    double cap = 0, efficiency = 1;  ///< cap in bytes per second
    double latency = 0;              ///< seconds
    bool sends = false, receives = false;
    std::int32_t to = 0;               ///< the sender that receives the message
    std::int64_t arrives = 0;          ///< the step that receives it, as a place in `steps`
    std::int32_t first = 0, last = 0;  ///< its links, as places in `links`
  };
  std::vector<int> rank;            ///< by sender: one of the twins
  std::vector<int> sender;          ///< by rank; -1: takes no part
  std::vector<int> twins;           ///< by sender: how many ranks it is
  std::vector<std::int64_t> first;  ///< by sender: its first step in `steps`; one more at the end
  std::vector<Step> steps;
  std::vector<std::int32_t>
      links;  ///< numbered anew; without those that never bind, since another on the way of all their messages is as narrow, or one rank alone uses them
  std::vector<double> capacities;  ///< of links, bytes per second
};

Exchanges exchanges_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                       const ProtocolSpec& protocol);

/// When the last rank is done, from the last entry. `exchanges`: of this phase, of any length. Twins enter with the later of them.
///
/// Time goes on in strides, in each of which an eighth of the messages under way leave. During a stride a message keeps its rate: the least of its equal shares of its links among those
/// under way when the stride began; who starts within a stride counts itself too. So ranks of different progress share links as
/// they do, to within a stride. Equal shares are at most the max-min fair ones, which gives times that are too long; that who starts early in a stride finds others
/// at rates for fewer gives times that are too short. Measured in tests/sim/fold.
Time exchange_time(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   const Exchanges& exchanges, const Leads& leads = {});

}  // namespace lockstep::sim
