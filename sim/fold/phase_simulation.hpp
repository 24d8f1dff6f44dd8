// One phase of a collective, by a few nodes that stand for all.
#pragma once

#include "core/plan/collective.hpp"
#include "sim/network/collective_engine.hpp"

namespace lockstep::sim {

/// How long a phase of `plan` takes on an idle network if all ranks reach it together, base of the protocol excluded:
/// an approximation from few ranks.
///
///   * Nodes whose ranks have the same places in the schedule form a class: all nodes of a ring, of a power-of-two block of
///     halving and doubling; nodes of one height and depth in both trees. The first node of each stands for the others.
///   * A rank of such a node receives from the class of its real sender: when that class's own rank sends its message of the
///     same lane, which may so arrive at several ranks, or at none.
///   * Inside a node messages share links as they would. Between nodes a message shares the NICs of both ends with the messages
///     of its own node; on the cables in between it gets the share of the most loaded one if all ranks send at once.
///   * Latency between nodes: the longest of the class, for halving, doubling and trees; for rings the mean, because a piece of
///     data, and what waits for it, goes round all hops.
///   * All pieces of a ring have the mean length. Its steps are alike, so after a stretch of them each takes as long as the last
///     ones: reducing and gathering are simulated for a few rounds of the node and prolonged.
///
/// Measured against the whole simulation: tests/sim/world/approx_fold_test.cpp.
Time folded_phase_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                       int protocol);

/// Sum over the phases, bases included. Collectives of few messages are simulated whole.
Time folded_collective_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, int protocol);

}  // namespace lockstep::sim
