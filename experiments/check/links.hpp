// The cables of a cluster by the names that simulation.slow_links, failed_links and background take.
#pragma once

#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "core/spec/cluster_spec.hpp"

namespace lockstep::check {

/// Cables that differ in nothing but a number of their name.
struct Cables {
  bool inside_node = false;
  std::string first,
      last;  ///< "node0.nic0" and "node1087.nic0"; "leaf0-fbb0.0" and "leaf31-fbb2.17"; equal if there is one
  std::size_t count = 0;
  Bandwidth bandwidth;  ///< per direction
  Time latency;
};

/// Those inside a node first (nodes are alike), then tier by tier between switches. Builds the whole fabric: milliseconds.
std::vector<Cables> cables_of(const ClusterSpec& cluster);

/// What `lockstep check --links` prints.
std::string to_text(const ClusterSpec& cluster, const std::vector<Cables>& cables);
/// [{"place": "node" or "switches", "cable", "to", "cables", "bandwidth_GBps", "latency_us"}, ...]
std::string to_json(const std::vector<Cables>& cables);

}  // namespace lockstep::check
