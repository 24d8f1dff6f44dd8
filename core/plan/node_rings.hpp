// Rings inside a node that use its NVLink cables fully.
#pragma once

#include <vector>

#include "core/spec/cluster_spec.hpp"

namespace lockstep {

/// Ring orders over local ranks 0 .. gpus - 1 of the node, as NCCL's search would find them: a largest set of
/// Hamiltonian cycles in the NVLinks among those GPUs such that no cable is used twice in one direction (each
/// undirected cycle gives two rings, one per direction; two GPUs: one ring per cable). NVSwitch: `links_per_gpu` rings
/// in local-rank order, rotated evenly. Without NVLink, or if no cycle exists (5 of the 8 GPUs of a hybrid cube mesh):
/// rings in local-rank order grouped by PCIe switch, rotated evenly so that each leaves the node elsewhere: as many as these GPUs have NICs that PCIe
/// can keep busy, `at_most` at most, one if that is 0. `at_most` > 0 limits the count. Backtracking, exhaustive unless
/// it passes a million moves (the nodes of data/clusters stay far below), then the best set so far. Deterministic.
std::vector<std::vector<int>> node_rings(const NodeSpec& node, int gpus, int at_most = 0);

/// Orders for chains inside a node, which need no closing hop: the rings, where they run over NVLink; else one path over NVLink cables through
/// all GPUs whose weakest pair has the most cables (the first in lexical order: five GPUs of a hybrid cube mesh have a path but no ring); else
/// the ring over PCIe. Depth first, exhaustive up to a million moves. Deterministic.
std::vector<std::vector<int>> node_chains(const NodeSpec& node, int gpus, int at_most = 0);

}  // namespace lockstep
