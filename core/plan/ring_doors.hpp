// Where rings through nodes enter and leave them.
#pragma once

#include <vector>

namespace lockstep {

/// Rings inside a node, each turned to begin behind the hop at which it is opened: it enters the node at its first GPU and leaves it from its last.
/// `nic_of`: the NIC of each GPU, >= 0, at least as many as a ring has; empty: unknown, or one for all. The less of the following the better, in this order:
///   loads of the NICs, squared and summed, in and out;
///   the same of groups of 1, 2, 4, ... neighbouring GPUs and of every size that divides the node, which may share something else;
///   rings that leave by another NIC than they came in by. Their next hop changes rails, which a library avoids as long as that costs no rate
///   (NCCL_CROSS_NIC; NCCL 2.0 to 2.4 give a ring one card on all nodes).
/// Local search from several beginnings, by single turns and, while there are few of them, by pairs; more beginnings while the NICs could be more even. Not
/// always the least. Deterministic. O(rings^2 GPUs^2) per step of the search at most.
std::vector<std::vector<int>> opened(const std::vector<std::vector<int>>& rings, const std::vector<int>& nic_of);

}  // namespace lockstep
