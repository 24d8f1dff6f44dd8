// Which nodes stand for which in a phase of a collective, and what crosses the cables between them.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/plan/collective.hpp"
#include "sim/network/collective_engine.hpp"

namespace lockstep::sim {

/// What the messages of a lane meet between nodes, over all ranks of a class.
struct Hop {
  Time longest;
  double latency_sum = 0;
  std::int64_t count = 0;
  std::vector<std::pair<std::int32_t, std::int32_t>> cables;  ///< watched ones, with the messages of this lane on each
};

/// Who stands for whom in a phase, and what its messages meet: whatever their lengths.
struct Traffic {
  std::vector<int> ranks;              ///< that stand for their classes
  std::vector<int> class_of;           ///< by rank: index into `ranks`; -1: takes no part
  std::vector<std::vector<Hop>> hops;  ///< by class and lane
};

/// Nodes whose ranks have the same places in the schedule are a class (in a tree: depth and height), whose first node stands for it. The nodes of ranks in
/// `alone`, and in a tree those on their ways to the root, are classes of their own. Cost: O(messages of a step x links of their routes).
Traffic traffic_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   std::span<const int> alone = {});

}  // namespace lockstep::sim
