// From a cluster description to links and routes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "sim/network/network.hpp"

namespace lockstep::sim {

/// The way from one GPU to another. GPU index = node * GPUs per node + local rank.
struct Route {
  std::span<const std::int32_t> links;
  Time latency;                     ///< sum over the links and switches crossed
  PathClass path_class = PathClass::Local;
  bool crosses_host = false;        ///< GPU and NIC are not below one PCIe switch (on either end)
  int switches = 0;                 ///< network switches crossed
};

enum class Routing { Static, Ecmp };

/// Builds every link of the nodes [0, nodes) and of the network that joins them, and finds routes.
/// Inside a node: NVLink pair if there is one; NVSwitch; a pair without NVLink goes over PCIe (switch, host bridge, socket link).
/// Between nodes: GPU, PCIe switch, host bridge (unless the NIC is under the same switch), NIC of the local rank, up and down the
/// tiers, NIC of the receiver's local rank, PCIe, GPU. Up-link choice at each switch: Static = destination port modulo the number
/// of (switch, cable) choices; Ecmp = hash of (seed, source, destination). The way down is then fixed up to parallel cables.
class Fabric {
 public:
  /// 1 <= nodes <= cluster.nodes. Throws ConfigError if two nodes have no route between them.
  Fabric(const ClusterSpec& cluster, int nodes, Routing routing, std::uint64_t seed);
  ~Fabric();
  Fabric(Fabric&&) noexcept;

  const std::vector<Link>& links() const;
  /// Cached; valid for the fabric's lifetime. from == to gives an empty Local route.
  Route route(int from_gpu, int to_gpu);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sim
