#include "sim/network/estimate.hpp"

#include <algorithm>
#include <bit>

#include "core/base/error.hpp"
#include "core/plan/alpha_beta.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

namespace {

struct Medium {
  PathClass path = PathClass::Nvlink;
  Bandwidth share;  // per rank and direction
  Time wire;
};

/// A tree whose nodes hang their other GPUs behind a head.
bool of_nodes(const Phase& phase) { return phase.algorithm == PhaseAlgorithm::Tree && !phase.orders.empty(); }

/// Most of a GPU's copies through host memory.
Bandwidth host_copy(const NodeSpec& node) {
  const Bandwidth rate = node.pcie.host_copy.value;
  return rate.bytes_per_second() > 0 ? rate : Bandwidth::unlimited();
}

/// What the hop between members of a phase's group that lie furthest apart looks like, and the share of one member.
Medium medium_of(const CollectivePlan& plan, const Phase& phase, const EstimateContext& context) {
  const NodeSpec& node = context.cluster.node;
  const int world = plan.grid.size();
  const bool inside = world <= context.node_gpus || phase.group == Group::Row;
  if (inside) {
    if (node.nvlink.present) {
      const int cables = node.nvlink.through_switch ? node.nvlink.links_per_gpu
                                                    : std::max<int>(1, static_cast<int>(phase.orders.size()));
      return {PathClass::Nvlink, node.nvlink.per_link.value * cables, node.nvlink.latency.value};
    }
    const int size = phase.group == Group::Row ? plan.grid.x : context.node_gpus;
    return {PathClass::Pcie, over_pcie(node, context.node_gpus, size), node.pcie.latency.value};
  }
  const Bandwidth nics = node.nic.rate.value * std::max(1, node.nic.count);
  Time wire = node.nic.latency.value * 2;
  for (const TierSpec& tier : context.cluster.network.tiers) wire += tier.hop.value;
  // A ring over the world and a tree of nodes enter and leave each node once per channel; elsewhere every participant of a node sends for itself.
  double sharers = context.node_gpus;
  if (phase.group == Group::Leaders) sharers = node.nic.count;
  if (phase.group == Group::World && (phase.algorithm == PhaseAlgorithm::Ring || of_nodes(phase))) {
    sharers = phase.orders.size() > 1 ? 1 : node.nic.count;
  }
  if (phase.group == Group::Column) sharers = plan.grid.x;
  return {PathClass::Network, nics / std::max(1.0, sharers), wire};
}

/// Most of a lane that stands for `channels` channels of the library, where its messages go between nodes by TCP; else unlimited.
Bandwidth tcp_cap(const EstimateContext& context, double channels) {
  const NicSpec& nic = context.cluster.node.nic;
  if (nic.transport != NicTransport::Tcp || nic.connection.value == Bandwidth::bytes_per_second(0))
    return Bandwidth::unlimited();
  return over_connections(context.limited, nic.connection.value, nic.connections, channels);
}

/// What TCP adds to a message between nodes.
Time tcp_latency(const EstimateContext& context) {
  return context.cluster.node.nic.transport == NicTransport::Tcp ? context.limited.tcp_latency.value : Time::zero();
}

/// The slowest of the switch, the limit of trees and the NICs (two trees, both ways) for the buffer, and a chunk of a part through each stage: give, copy,
/// copy out, and up and down the levels of the trees.
Time nvls_time(const CollectivePlan& plan, const Phase& phase, const EstimateContext& context) {
  const NodeSpec& node = context.cluster.node;
  const NvlsSpec& nvls = context.limited.nvls;
  const int ranks = plan.grid.size(), nodes = ranks / phase.node, trees = nodes > 1 ? 2 : 1;
  const int parts = phase.node * trees;
  const std::int64_t elements = std::min(phase.chunk, (plan.elements + parts - 1) / parts);
  const Bytes chunk(elements * plan.element_bytes);
  Bandwidth rate = node.nvlink.per_link.value * (node.nvlink.links_per_gpu * nvls.share.value / (1 + 1.0 / phase.node));
  if (nodes > 1) rate = std::min(rate, nvls.tree.at(nodes) * (phase.node * ranks / (2.0 * (ranks - 1))));
  Time latency =
      nvls.base + nvls.inside + chunk / (rate / parts) * 2;  // the third stage of a chunk is in the buffer's time
  if (nodes > 1) {
    Time hop = nvls.network + node.nic.latency.value * 2;
    for (const TierSpec& tier : context.cluster.network.tiers) hop += tier.hop.value;
    if (stages(node, context.node_gpus, context.staging)) hop += context.limited.staging_latency.value;
    hop += tcp_latency(context);
    Bandwidth nics = std::min(node.nic.rate.value * std::max(1, node.nic.count),
                              tcp_cap(context, static_cast<double>(nvls.channels) / trees) * parts);
    if (stages(node, context.node_gpus, context.staging)) nics = std::min(nics, host_copy(node) * phase.node);
    const int levels = static_cast<int>(std::bit_width(static_cast<unsigned>(nodes))) - 1;
    latency += (hop + chunk / (nics / parts)) * (2 * levels);
    rate = std::min(rate, nodes == 2 ? nics : nics / 2);
  }
  return latency + plan.bytes() / rate;
}

}  // namespace

Bandwidth over_pcie(const NodeSpec& node, int used, int size) {
  for (int first = 0; first < used; first += size) {
    if (node.meets_in_host(first, std::min(used, first + size))) return std::min(node.pcie.x16.value, host_copy(node));
  }
  return node.pcie.x16.value;
}

EstimateContext estimate_context(const ClusterSpec& cluster, const LibrarySpec& library, int node_gpus,
                                 const RunSpec& run, int capability) {
  const int ranks = run.cluster.gpus, nodes = (ranks + node_gpus - 1) / node_gpus;
  const AllreduceSpec& allreduce = run.allreduce;
  EstimateContext context{
      cluster, library, limited_to(library, capability, nodes), node_gpus, staging_of(library, allreduce), {}};
  if (library.tuning.rule == TuningRule::None) return context;
  context.view = library_view(cluster.node, library, node_gpus, ranks, capability, allreduce.channels);
  context.view.protocol = allreduce.protocol;
  context.view.among = allreduce.among;
  return context;
}

Time closed_form(const CollectivePlan& plan, const EstimateContext& context, int protocol) {
  const LibrarySpec& library = context.limited;
  const NodeSpec& node = context.cluster.node;
  const ProtocolSpec& p = library.protocols[static_cast<std::size_t>(protocol)];
  Time total;
  for (const Phase& phase : plan.phases) {
    if (phase.algorithm == PhaseAlgorithm::Nvls) {
      total += nvls_time(plan, phase, context);
      continue;
    }
    const Medium medium = medium_of(plan, phase, context);
    const bool tree = phase.algorithm == PhaseAlgorithm::Tree;
    AlphaBeta link;
    link.alpha = medium.wire + (tree ? p.tree : p.ring).at(medium.path);
    const int channels = std::max<int>(1, static_cast<int>(phase.orders.size()));
    const Bandwidth channel = phase.orders.empty() ? Bandwidth::unlimited() : tree ? p.tree_cap : p.ring_cap;
    Bandwidth cap = std::min(channel * channels, p.total_cap);
    if (medium.path == PathClass::Network) {
      if (stages(node, context.node_gpus, context.staging)) {
        link.alpha += library.staging_latency.value;
        // Rings over NVLink are dealt to GPUs by which they leave a node; without it all of them take every GPU's copies.
        const bool doors = node.nvlink.present && phase.group == Group::World && !tree;
        const int busiest = (channels + context.node_gpus - 1) / context.node_gpus;
        cap = std::min(cap, host_copy(node) * (doors ? static_cast<double>(channels) / busiest : 1));
      }
      if (phase.group == Group::World && !node.nvlink.present && !node.pcie.switches.empty())
        cap = std::min(cap, over_pcie(node, context.node_gpus, context.node_gpus));
      link.alpha += tcp_latency(context);
      cap = std::min(cap, tcp_cap(context, tree ? phase.copies / 2.0 : phase.copies) * channels);
    }
    const double reached = medium.path == PathClass::Nvlink ? library.nvlink_share.value : 1;
    link.beta = std::min(medium.share * reached, cap) * p.efficiency;
    link.gamma = library.reduce.value;

    const int world = plan.grid.size();
    int n = phase.group == Group::World ? world : phase.group == Group::Row ? plan.grid.x : plan.grid.y;
    if (of_nodes(phase) && medium.path == PathClass::Network) {
      n = (world + context.node_gpus - 1) / context.node_gpus;
      const PathClass inside = node.nvlink.present ? PathClass::Nvlink : PathClass::Pcie;
      total += p.tree.at(inside) * (2 * (context.node_gpus - 1));  // the chain behind the head, up and down
    }
    const Bytes size = phase.group == Group::Column ? plan.bytes() / plan.grid.x : plan.bytes();
    total += (tree ? p.tree : p.ring).base;
    if (phase.op == CollectiveOp::ReduceScatter || phase.op == CollectiveOp::AllGather) {
      total += ring_reduce_scatter_time(size, n, link);
    } else if (phase.op == CollectiveOp::Reduce || phase.op == CollectiveOp::Broadcast) {
      total += n > 1 ? link.alpha * (n - 1) + size / link.beta : Time::zero();
    } else if (phase.algorithm == PhaseAlgorithm::Ring) {
      total += ring_allreduce_time(size, n, link);
    } else if (phase.algorithm == PhaseAlgorithm::HalvingDoubling) {
      total += halving_doubling_time(size, n, link);
    } else {
      total += double_tree_time(size, n, Bytes(std::max<std::int64_t>(1, phase.chunk) * plan.element_bytes), link);
    }
  }
  return total;
}

Time estimate(const CollectivePlan& plan, const EstimateContext& context, int protocol) {
  if (plan.protocol < 0) return closed_form(plan, context, protocol);
  const auto estimates = library_estimates(context.library, context.view, plan.bytes());
  const int choice = library_choice(estimates, plan.algorithm, protocol);
  return choice < 0 ? Time::never() : estimates[static_cast<std::size_t>(choice)].time;
}

int choose_protocol(const CollectivePlan& plan, const EstimateContext& context, const std::string& asked) {
  if (plan.protocol >= 0) return plan.protocol;
  const auto& protocols = context.library.protocols;
  const std::string& own = context.library.nvls.protocol;
  if (plan.added_in_switches()) {
    if (asked != "auto" && asked != own)
      throw ConfigError(context.library.name, "allreduce.protocol",
                        "NVLS goes by \"" + own + "\" only; expected auto or " + own);
    const auto it = std::find_if(protocols.begin(), protocols.end(), [&](const auto& p) { return p.name == own; });
    return static_cast<int>(it - protocols.begin());
  }
  if (asked != "auto") {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < protocols.size(); ++i) {
      if (protocols[i].name == asked) return static_cast<int>(i);
      names.push_back(protocols[i].name);
    }
    std::string known;
    for (const auto& name : names) known += (known.empty() ? "" : ", ") + name;
    throw ConfigError(
        context.library.name, "allreduce.protocol",
        "\"" + asked + "\" is not a protocol of library " + context.library.name + "; it has " + known + " (or auto)");
  }
  int best = -1;
  Time best_time = Time::never();
  for (std::size_t i = 0; i < protocols.size(); ++i) {
    if (protocols[i].at_most > Bytes(0) && plan.bytes() > protocols[i].at_most) continue;
    const Time time = estimate(plan, context, static_cast<int>(i));
    if (time < best_time) {
      best = static_cast<int>(i);
      best_time = time;
    }
  }
  if (best < 0)
    throw ConfigError(context.library.name, "allreduce.protocol",
                      "no protocol of the library takes " + std::to_string(plan.bytes().count()) + " bytes");
  return best;
}

}  // namespace lockstep::sim
