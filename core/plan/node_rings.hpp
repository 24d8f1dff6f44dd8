// Rings inside a node that use its NVLink cables fully.
#pragma once

#include <vector>

#include "core/spec/cluster_spec.hpp"

namespace lockstep {

/// Ring orders over local ranks 0 .. node.gpus - 1, as NCCL's search would find them: a largest set of Hamiltonian cycles such
/// that no NVLink cable is used twice in one direction (each undirected cycle gives two rings, one per direction).
/// NVSwitch: `links_per_gpu` copies of rotations. Without NVLink, or if no cycle exists: one ring in local-rank order grouped
/// by PCIe switch. `at_most` > 0 limits the count. Exhaustive backtracking for up to 8 GPUs; deterministic.
std::vector<std::vector<int>> node_rings(const NodeSpec& node, int gpus, int at_most = 0);

}  // namespace lockstep
