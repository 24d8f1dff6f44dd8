// How long collectives take, approximately, by few nodes that stand for all.
#pragma once

#include <memory>

#include "core/plan/collective.hpp"
#include "sim/fold/leads.hpp"
#include "sim/network/collective_engine.hpp"

namespace lockstep::sim {

/// How long each collective takes on an idle network, from its last entry to its last exit. Its phases one after the other; a phase
///
///   * of rings, chains, trees: nodes whose ranks have the same places in the schedule (in a tree: depth and height) form a class,
///     whose first node stands for it. A rank of such a node receives when the rank that stands for its real sender has
///     sent; so one message may arrive at several ranks, or at none. Inside a node, and at its NICs, messages share links as they
///     would. Of the cables between switches the most loaded one of each (class, lane) is kept, with all messages of the phase
///     that cross it. Latency between nodes: the longest of the class; for rings the mean, because what a step waits for has
///     gone round all hops. The pieces of a ring have the mean length, and its steps are alike: a few rounds of a node are
///     simulated and prolonged. A flat ring of several channels comes out up to 7 % too long (ABCI: 4 %): folded nodes keep in step,
///     whereas real ones drift apart and meet less often at the NICs.
///   * of halving and doubling: all ranks, but that GPUs which share an adapter are one, and time goes on in strides
///     (exchanges.hpp). ABCI, all 2,048 ranks in one such collective: within 1 % without noise.
///
/// Ranks that enter before the last one have done by then what can be done without it, and their messages no longer meet its own. In a tree the
/// nodes of the two last ranks, and those on their ways to the roots, are therefore simulated themselves, and the other nodes of each class enter when they do on
/// average; that more than two come nearly last is left out (48 nodes, 12 MB, entries spread by 0.5 ms: 1 to 4 % too short). Halving and
/// doubling takes every rank as it comes. A ring waits for its last rank as long as if all were late (phase_simulation.hpp). A phase
/// inside rows lets the ranks of a row go on together; after a phase over all rows all go on together.
///
/// Left out: that ranks leave a collective at different times and are thus spread at the next one. Where all ranks are in one tree,
/// cables of different load spread them by 0.1 to 0.8 ms (ABCI): five buckets of 51 MB come out 1 ms too long together. Behind one ideal switch: 0.1 % of the step.
///
/// Collectives of at most 2,000 messages are simulated whole. Bounds: tests/sim/fold, tests/sim/world. Keeps what depends on the
/// kind of phase only, so that the second bucket is cheaper than the first. Both references must outlive it.
class CollectiveLengths {
 public:
  CollectiveLengths(Fabric& fabric, const EngineSettings& settings);
  ~CollectiveLengths();

  /// `protocol`: index into the library's. All ranks of a world: plans of one grid size, placement and ring orders per object. `leads`: by rank, or empty.
  Time of(const CollectivePlan& plan, int protocol, const Leads& leads = {});
  /// One of its phases, without the protocol's base.
  Time phase(const CollectivePlan& plan, const Phase& phase, int protocol, const Leads& leads = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sim
