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
/// Time goes on in strides, each of which ends when an eighth of the messages under way have left (fewer in small worlds). At its end a message gets
/// the least of its equal shares of its links among those then under way, and is taken to have had the mean of its former and its new rate during the stride (trapezoidal rule);
/// who starts within a stride counts itself too. So ranks of different progress share links as they do, to within a stride. The limit of short
/// strides is that of equal shares, at most the max-min fair ones. How far off it is: tests/sim/fold, tests/sim/world. Where many ranks share few
/// cables the whole is chaotic: other strides move ABCI's flat collectives by up to 2 %, either way.
Time exchange_time(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   const Exchanges& exchanges, const Leads& leads = {});

}  // namespace lockstep::sim
