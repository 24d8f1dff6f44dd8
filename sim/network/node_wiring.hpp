// The links inside one node, and the ways over them. Every node of a cluster is wired alike.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "sim/network/network.hpp"

namespace lockstep::sim {

/// A way inside the node, or from a GPU to the network port of its NIC, or back.
struct Leg {
  bool exists = false;
  std::vector<std::int32_t> links;  ///< indices into NodeWiring::links
  PathClass path_class = PathClass::Local;
  bool crosses_host = false;
};

struct NodeWiring {
  std::vector<Link> links;   ///< names such as "gpu0>pcie0"; both directions of a cable are two links
  std::vector<Leg> between;  ///< [from * gpus + to]
  std::vector<Leg> out, in;  ///< per GPU: to its NIC's port, from it; empty without NICs
  std::vector<std::int32_t> into_host, out_of_host;  ///< per GPU: link of its copies; empty = as fast as the bus
  std::vector<int> nic_of_gpu;                       ///< the NIC that `out` and `in` use
};

/// `with_nics`: also NICs and the way to them; their port runs at most at `port_rate` and takes `first_hop` to enter
/// the first switch. NVLink wins over PCIe. Throws ConfigError with all faults: a link without rate, a GPU below no
/// PCIe switch, indices out of range.
///
/// Legs avoid the links that `dead` marks (by index, empty = none): a pair of GPUs whose NVLink is gone goes over PCIe, a
/// GPU whose NIC cannot be reached in both directions takes the next one, round the node. Where nothing is left, the leg
/// does not exist.
NodeWiring wire_node(const ClusterSpec& cluster, bool with_nics, Bandwidth port_rate, Time first_hop,
                     const std::vector<char>& dead = {});

}  // namespace lockstep::sim
