// How long collectives take, approximately, by few nodes that stand for all.
#pragma once

#include <memory>

#include "core/plan/collective.hpp"
#include "sim/network/collective_engine.hpp"

namespace lockstep::sim {

/// How long each collective takes on an idle network if all ranks enter it together. Its phases one after the other; a phase
///
///   * of rings, chains, trees: nodes whose ranks have the same places in the schedule (in a tree: depth and height) form a class,
///     whose first node stands for it. A rank of such a node receives when the rank that stands for its real sender has
///     sent; so one message may arrive at several ranks, or at none. Inside a node, and at its NICs, messages share links as they
///     would. Of the cables between switches the most loaded one of each (class, lane) is kept, with all messages of the phase
///     that cross it. Latency between nodes: the longest of the class; for rings the mean, because what a step waits for has
///     gone round all hops. The pieces of a ring have the mean length, and its steps are alike: a few rounds of a node are
///     simulated and prolonged. A flat ring of several channels comes out up to 7 % too long: folded nodes keep in step, whereas real
///     ones drift apart and meet less often at the NICs.
///   * of halving and doubling: all ranks, without events. A message of step k gets on each link an equal share among the
///     messages that all ranks send in their step k. What ranks of different progress do to each other on shared cables is left
///     out: too short, where cables between racks are the bottleneck (ABCI, 512 nodes: up to 7 % of the collective).
///
/// Collectives of at most 2,000 messages are simulated whole. Bounds: tests/sim/fold, tests/sim/world. Keeps what depends on the
/// kind of phase only, so that the second bucket is cheaper than the first. Both references must outlive it.
class CollectiveLengths {
 public:
  CollectiveLengths(Fabric& fabric, const EngineSettings& settings);
  ~CollectiveLengths();

  /// `protocol`: index into the library's. All ranks of a world: plans of one grid size, placement and ring orders per object.
  Time of(const CollectivePlan& plan, int protocol);
  /// One of its phases, without the protocol's base.
  Time phase(const CollectivePlan& plan, const Phase& phase, int protocol);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sim
