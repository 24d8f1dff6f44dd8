// Tiers of switches between network ports, and the choice of cables.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "sim/network/fabric.hpp"

namespace lockstep::sim {

/// Groups: one tier-0 switch is a group of tier 0; `group` groups of tier t - 1 and the `switches` of tier t above them
/// are a group of tier t. Between each lower switch of a group and each of its tier-t switches run `cables` cables,
/// each with a link per direction.
class FatTree {
 public:
  /// Appends its links to `links`. Throws ConfigError (unsuitable tiers, two ports in use that no tier joins).
  FatTree(const ClusterSpec& cluster, int nodes, Routing routing, std::uint64_t seed, std::vector<Link>& links);

  /// Number of a NIC's port; see Fabric for the two numberings.
  std::int64_t port(int node, int nic) const;
  /// Cables that `dead` marks (by link) carry nothing from now on.
  void set_dead(const std::vector<char>& dead) { dead_ = dead; }
  /// Appends the cables from one port's switch to the other's; returns the switches crossed. GPUs matter to Ecmp only.
  /// Where the cable of choice is dead, the other cables of the same two tiers are tried, from one that depends on the
  /// destination so that what it carried is spread; then, level by level, the way over higher tiers. -1 if none is left.
  int path(std::int64_t from_port, std::int64_t to_port, int from_gpu, int to_gpu,
           std::vector<std::int32_t>& out) const;

 private:
  struct Tier {
    int switches = 1, cables = 1;
    std::int64_t group = 0;    ///< groups of the tier below (tier 0: ports) in each; 0 = all
    std::int64_t groups = 0;   ///< groups in use
    std::int64_t divisor = 1;  ///< of the destination port, destination-mod-k
    std::int32_t first_link = 0;
  };
  struct Search;
  std::int64_t leaf(std::int64_t port) const;
  /// Modulo the number of (switch, cable) pairs: the choice. Divided by it: where to look if that is dead.
  std::uint64_t number(std::size_t tier, std::int64_t to_port, int from_gpu, int to_gpu, bool down) const;
  bool dead(std::int32_t link) const { return !dead_.empty() && dead_[static_cast<std::size_t>(link)]; }
  std::int32_t cable(std::size_t tier, std::int64_t lower_group, int lower_switch, int pick, bool down) const;

  std::vector<Tier> tiers_;
  int nics_ = 0;
  int nodes_per_rack_ = 0;
  std::int64_t leaves_per_rack_ = 0;
  Routing routing_;
  std::uint64_t seed_;
  std::vector<char> dead_;  ///< by link; empty = none
};

}  // namespace lockstep::sim
