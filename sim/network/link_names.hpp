// Links by name, as a user writes them in simulation.slow_links and failed_links.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "sim/network/network.hpp"

namespace lockstep::sim {

/// What a run changes about the links of a cluster.
struct LinkChanges {
  std::vector<SlowLink> slow;
  std::vector<std::string> failed;
  bool none() const { return slow.empty() && failed.empty(); }
};

/// The name of the cable that a fabric's link belongs to. Nodes and switches are numbered from 0 as the cluster file
/// lays them out (not by rank):
///   node3.nic0         a NIC's cable to its switch       node3.gpu0-gpu2    the NVLinks of a pair
///   node3.gpu0-pcie0   a GPU's PCIe lanes                node3.gpu0-nvswitch
///   node3.gpu0-host    a GPU's copies into host memory (up) and out of it (down); what needs them fails with them
///   leaf2-fbb1.4       cable 4 between two switches
std::string cable_name(const Link& link);

/// Indices of the links that `name` says: a cable (both directions), or one direction of it with ".up" (away from the
/// first end, out of the node, towards higher switches) or ".down". "*" stands for any text. Links stand in pairs, a
/// direction and its way back, as Fabric builds them. Empty if no link is called so. O(links).
std::vector<std::int32_t> find_links(std::span<const Link> links, const std::string& name);

/// A node for which rings and trees are planned: without the NVLink pairs that have failed on any of `nodes`, and with a switch that adds
/// nothing if a GPU's links to it have. NCCL, too, uses as many rings as the poorest node has.
NodeSpec surviving_node(const NodeSpec& node, std::span<const int> nodes, const LinkChanges& changes);

}  // namespace lockstep::sim
