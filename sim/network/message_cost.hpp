// What a message costs besides its bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/plan/collective.hpp"
#include "core/spec/library_spec.hpp"
#include "sim/network/fabric.hpp"

namespace lockstep::sim {

struct MessageCost {
  Time latency;           ///< from the end of its flow to its arrival: the route's, the protocol's share, staging
  Bandwidth cap;          ///< of its flow: the protocol's, that of connections over TCP
  double efficiency = 1;  ///< payload / bytes that its links are busy with
  Bandwidth copy_out = Bandwidth::unlimited();  ///< of its payload at the receiver, where a switch copies it
};

/// How often a message through a switch that adds and copies crosses its sender's link into the switch and its receiver's link out of it; at the
/// head of a group its own data go with the sum and with the copies.
inline const std::array<std::int32_t, 2>& crossings(SwitchRole role) {
  static constexpr std::array<std::int32_t, 2> kOnce{1, 1}, kUp{1, 0}, kDown{0, 1}, kSum{1, 2}, kCopies{2, 1};
  switch (role) {
    case SwitchRole::None: break;
    case SwitchRole::Joins: return kUp;
    case SwitchRole::CarriesSum: return kSum;
    case SwitchRole::Copy: return kDown;
    case SwitchRole::CarriesCopies: return kCopies;
  }
  return kOnce;
}

/// A head's lane that receives what the switch has added. `coupled`: Schedule::coupled_lanes().
inline bool added_on_the_way(const Phase& phase, int coupled, int lane) {
  return phase.algorithm == PhaseAlgorithm::Nvls && lane % coupled == NvlsSchedule::kGather;
}

/// Once per phase, before its first message.
inline Time base_of(const LibrarySpec& library, const ProtocolSpec& protocol, const Phase& phase) {
  if (phase.algorithm == PhaseAlgorithm::Nvls) return library.nvls.base;
  return (phase.algorithm == PhaseAlgorithm::Tree ? protocol.tree : protocol.ring).base;
}

/// Inside a node the protocol's cost per message is of copies through host memory.
inline void add_staging(MessageCost& cost, const LibrarySpec& library, const Route& route) {
  if (route.path_class == PathClass::Network && route.staged) cost.latency += library.staging_latency.value;
}

/// Most of a message over TCP whose lane stands for `channels` channels of the library, each with connections of its own.
inline Bandwidth over_connections(const LibrarySpec& library, Bandwidth connection, int connections, double channels) {
  return connection * (std::max(1.0, channels) * (library.many_connections ? connections : 1));
}

inline void add_tcp(MessageCost& cost, const LibrarySpec& library, const Route& route, double channels) {
  if (!route.tcp) return;
  cost.latency += library.tcp_latency.value;
  cost.cap = std::min(cost.cap, over_connections(library, route.connection, route.connections, channels));
}

/// A message of NVLS among `members` ranks to a GPU whose NVLink has this capacity: half of what the node takes to add and copy, or the step between
/// nodes. The kernel copies a chunk in, adds and copies it through the switch, and copies it out; its warps are dealt so that the three keep pace
/// (NVIDIA/nccl, src/device/all_reduce.h). Giving and taking are two of them, the third is the time that the switch needs for a chunk.
inline MessageCost nvls_cost(const LibrarySpec& library, const Phase& phase, int members, SwitchRole role,
                             const Route& route, Bandwidth capacity) {
  const NvlsSpec& nvls = library.nvls;
  const int nodes = members / phase.node;
  const double trees = nodes > 1 ? 2 : 1;
  MessageCost cost{route.latency, Bandwidth::unlimited(), 1};
  if (route.path_class == PathClass::Network) {
    cost.latency += nvls.network;
    add_staging(cost, library, route);
    add_tcp(cost, library, route, nvls.channels / trees);  // each head has connections of its own
    return cost;
  }
  cost.latency += nvls.inside / 2;
  cost.efficiency = nvls.share.value;
  if (role != SwitchRole::Copy && role != SwitchRole::CarriesCopies) return cost;
  if (nodes > 1) cost.cap = nvls.tree.at(nodes) * (members / (2.0 * (members - 1)) / trees / cost.efficiency);
  if (library.limits) cost.copy_out = capacity * (nvls.share.value / (phase.node + 1) / trees);
  return cost;
}

/// A message of `phase`, not of NVLS; libraries count those of trees apart.
inline MessageCost message_cost(const LibrarySpec& library, const ProtocolSpec& protocol, const Phase& phase,
                                const Route& route) {
  const bool tree = phase.algorithm == PhaseAlgorithm::Tree;
  // A rank works on all channels at once; on one of a tree, on two trees, up and down each. Without orders one lane stands for all channels.
  const double flows = tree ? 4 : 1;
  const Bandwidth channel = phase.orders.empty() ? Bandwidth::unlimited()
                            : tree               ? protocol.tree_cap
                                                 : protocol.ring_cap;
  const Bandwidth total = protocol.total_cap / static_cast<double>(phase.orders.channels());
  MessageCost cost{route.latency, std::min(channel, total) / flows, protocol.efficiency};
  cost.latency += (tree ? protocol.tree : protocol.ring).at(route.path_class);
  if (route.path_class == PathClass::Nvlink) {
    const double reached = library.nvlink_share.value;  // the link is busy longer, whatever limits the kernel
    cost.efficiency *= reached;
    cost.cap = cost.cap / reached;
  }
  add_staging(cost, library, route);
  add_tcp(cost, library, route, tree ? phase.copies / 2.0 : phase.copies);  // a channel is on one of the two trees
  return cost;
}

/// Any message, among `members` ranks. `role`: of a message of NVLS.
inline MessageCost message_cost(const LibrarySpec& library, const ProtocolSpec& protocol, const Phase& phase,
                                const Route& route, const Fabric& fabric, int members, SwitchRole role) {
  if (phase.algorithm != PhaseAlgorithm::Nvls) return message_cost(library, protocol, phase, route);
  const Bandwidth nvlink = fabric.links()[static_cast<std::size_t>(route.links.back())].capacity;
  return nvls_cost(library, phase, members, role, route, nvlink);
}

}  // namespace lockstep::sim
