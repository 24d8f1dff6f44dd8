// From a cluster description to links and routes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "sim/network/link_names.hpp"
#include "sim/network/network.hpp"
#include "sim/network/staging.hpp"

namespace lockstep::sim {

/// The way from one GPU to another. GPU index = node * GPUs per node + local rank.
struct Route {
  std::span<const std::int32_t> links;
  Time latency;  ///< sum over the links and switches crossed
  PathClass path_class = PathClass::Local;
  /// Copied through host memory: inside a node where it crosses a host bridge, between nodes as Staging says.
  bool staged = false;
  int switches = 0;  ///< network switches crossed
  bool tcp = false;  ///< between nodes by TCP
  /// Most that one connection carries, and how many of them a library that knows the adapter opens.
  Bandwidth connection = Bandwidth::unlimited();
  int connections = 1;
};

/// Builds every link of the nodes [0, nodes) and of the network that joins them, and finds routes.
/// Inside a node: NVLink pair if there is one; NVSwitch; a pair without NVLink goes over PCIe (switch, host bridge,
/// socket link). Between nodes: GPU, PCIe switch, host bridge (unless the NIC is under the same switch), NIC of the
/// local rank, up and down the tiers, NIC of the receiver's local rank, PCIe, GPU. A node without a PCIe section goes
/// from GPU to NIC directly. What is staged takes the sender's copy into host memory and the receiver's out of it besides
/// (node.pcie.host_copy), which all such messages of a GPU share.
///
/// Latency lies on the link that enters what is crossed: pcie.latency on each link into a PCIe switch or host bridge,
/// nic.latency on each NIC's two links, a tier's hop on each cable into one of its switches, nvlink.latency on a pair's
/// link or, with NVSwitch, on the way up (once per message). A NIC's port runs at the slower of nic.rate and the rate
/// of tier 0.
///
/// Ports: with nodes_per_rack, port in the rack = nic * nodes_per_rack + node in the rack, and racks start at a new
/// leaf; otherwise port = node * NICs + NIC, one after the other. Choice among the (switch, cable) pairs above a
/// switch, so that consecutive destinations use different ones:
///   Static: floor(destination port / product of `switches` of the tiers 1 .. t - 1) mod (switches * cables) of tier t,
///   where choice c
///           means switch c mod switches, cable c / switches   (destination-mod-k for parallel cables: Zahavi, "D-Mod-K
///           Routing Providing Non-Blocking Traffic for Shift Permutations on Real Life Fat Trees", 2010 [from
///           memory]);
///   Ecmp:   hash of (seed, from GPU, to GPU, tier, direction).
/// The way down uses the switches and cables that the same number picks from the destination's side.
///
/// `changes` makes links slower or takes them out; routes go around those (FatTree::path, wire_node). Names of links that
/// are not built here change nothing.
class Fabric {
 public:
  /// 1 <= nodes <= cluster.nodes. `staging` by default: no GPUDirect. Throws ConfigError if two GPUs have no route between
  /// them or a link that is needed has no rate; `where` is the cluster's name. NICs and switches are built only if nodes > 1.
  Fabric(const ClusterSpec& cluster, int nodes, Routing routing, std::uint64_t seed, const LinkChanges& changes = {},
         Staging staging = {});
  ~Fabric();
  Fabric(Fabric&&) noexcept;

  const std::vector<Link>& links() const;
  /// The node that a link belongs to; -1 for cables between switches.
  int node_of(std::int32_t link) const;
  /// Cached; valid until the next call, its links for the fabric's lifetime, also when it is moved. from == to gives an
  /// empty Local route. Throws ConfigError (key "simulation.failed_links") if no way is left.
  const Route& route(int from_gpu, int to_gpu);

  int gpus() const;                 ///< of the nodes that are built
  std::size_t first_cable() const;  ///< index of the first link between switches; links().size() if there are none
  bool works(std::int32_t link) const;
  Bandwidth port_rate() const;  ///< of a NIC's port, before any change; unlimited without NICs
  /// Appends the links between switches on the way from one GPU to another; nothing if no way is left. Not cached.
  void cables(int from_gpu, int to_gpu, std::vector<std::int32_t>& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sim
