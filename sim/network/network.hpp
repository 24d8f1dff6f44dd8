// Flows over links, shared max-min fairly.
//
//   maximise the smallest rate, then the next, ... subject to  sum of rates of the flows on link l <= capacity(l)
//   and rate(f) <= cap(f).   (Bertsekas & Gallager, Data Networks, section 6.5: progressive filling)
//
// A flow is a fluid: it occupies all its links from start to finish (cut-through), so its time does not depend on the number of
// hops except through latency. Only the part of the network that a change can touch is recomputed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "sim/network/event_queue.hpp"

namespace lockstep::sim {

/// One direction of a cable (or of a bus, or of a copy engine).
struct Link {
  std::string name;
  Bandwidth capacity;
  Time latency;
};

/// Traffic that a link has carried; conservation tests read it.
struct LinkUse {
  double bytes = 0;       ///< completed flows
  std::int64_t flows = 0;
};

class Network {
 public:
  /// Events of this network carry `event_kind`; the owner of the queue passes them to finish().
  Network(EventQueue& queue, std::vector<Link> links, std::uint32_t event_kind);

  /// Starts a flow now. `links`: indices, each at most once; must stay valid until the flow ends (routes are kept by their owner).
  /// Zero bytes end at once (still through the queue). `token` comes back when it ends. A flow with no links and no cap takes no time.
  void start(std::span<const std::int32_t> links, double bytes, Bandwidth cap, std::uint64_t token);

  /// Handles an event of `event_kind`. Returns true and the token if a flow has ended with it; false for outdated events.
  bool finish(const Event& event, std::uint64_t& token);

  const std::vector<Link>& links() const { return links_; }
  const std::vector<LinkUse>& use() const { return use_; }
  std::size_t active() const;
  /// Current rate of an active flow's token, for tests. O(active flows).
  double rate_of(std::uint64_t token) const;
  void set_capacity(std::int32_t link, Bandwidth capacity);  ///< only while no flow is active

 private:
  EventQueue& queue_;
  std::vector<Link> links_;
  std::vector<LinkUse> use_;
  std::uint32_t kind_;
  // flows, per-link membership and scratch space: see network.cpp
};

}  // namespace lockstep::sim
