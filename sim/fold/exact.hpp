// Folding without an error: ranks that nothing can tell apart are simulated once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/plan/collective.hpp"
#include "sim/network/collective_engine.hpp"
#include "sim/network/fold.hpp"

namespace lockstep::sim {

/// The coarsest classes of ranks and links that colour refinement finds (Paige & Tarjan 1987 [from memory] call it the
/// coarsest equitable partition). An edge is a pair of ranks with all that one sends to the other in these collectives:
/// (collective, phase, lane and step on both sides, length), the latency and kind of its route. Begin with `colours`,
/// which tell what else differs between ranks (durations, factor, start), what each rank does in each of its steps but
/// for its peers, and the capacities of the links. Then split until
///   * ranks of one class send along equal edges to equal classes over equal classes of links, and receive along equal
///     edges from equal classes;
///   * a link of one class is crossed by as many edges of each kind, from each class, as any other of it.
///
/// Why one rank of each class is enough. Claim: at every instant ranks of a class are in the same state, and messages
/// of one (class of sender, edge) have moved the same number of bytes. It holds at the start. Rates: progressive
/// filling raises all rates together and stops flows where a link is full; if it has treated the members of every class
/// alike so far, then all links of a class have the same capacity left and the same flows open, so it stops them alike
/// again: equal classes get equal rates, namely those of the problem with one link per class on which a flow counts as
/// often as its class crosses it (Network::send). So messages end at equal times, they travel equally long, arrive at
/// lanes and steps that are equal, and what a rank does next depends on nothing else. By induction over the events, the
/// representatives' simulation is the whole one's, seen by them.
///
/// The proof is about real numbers. Rates are doubles; sums are formed flow by flow here too, so they round alike
/// wherever equal flows follow each other; a difference in the last bit moves an end by far less than a picosecond,
/// and is seen only where that end lies within 1e-16 of its size of half a picosecond.
///
/// Null if no two ranks are alike, or if finding out would cost more than it may save: more than `most_steps` steps
/// that are not all of one length, or more than 64 rounds; or if a collective is added in switches (NVLS). Cost: O(steps + rounds x crossings of links).
std::shared_ptr<const Fold> exact_fold(Fabric& fabric, const EngineSettings& settings,
                                       std::span<const std::shared_ptr<const CollectivePlan>> plans,
                                       std::vector<std::uint64_t> colours, std::int64_t most_steps = 1 << 22);

}  // namespace lockstep::sim
