// How many switches a cluster file describes, and what they carry: counts that neither simulator nor file states.
#pragma once

#include <vector>

#include "core/spec/cluster_spec.hpp"

namespace lockstep::check {

struct TierShape {
  long groups = 1;    ///< independent groups of this tier's switches
  long switches = 1;  ///< in all: groups x switches per group
  /// What all ports below one group of the tier beneath can send, and what its cables up to this tier carry. Zero for tier 0 and where the
  /// tier beneath is one single group already, so that nothing needs to go up.
  Bandwidth below, up;
  /// up / below: 1 = non-blocking, 1/3 = a third; 1 where both are zero.
  double taper() const { return below.bytes_per_second() > 0 ? up / below : 1; }
};

/// One entry per tier of a fat tree, from the NICs upwards; a star gives one switch; no network gives none. The spec is valid. Pure.
std::vector<TierShape> network_shape(const ClusterSpec& cluster);

/// The leaf (counted within its rack, or from the first leaf on) where NIC `nic` of the first node ends. A star: 0.
int leaf_of_nic(const ClusterSpec& cluster, int nic);

}  // namespace lockstep::check
