#include "sim/machine.hpp"

#include <algorithm>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/rng.hpp"

namespace lockstep::sim {

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The nodes of a job, in the order of its ranks.
std::vector<int> nodes_of(Placement placement, int nodes, const ClusterSpec& cluster, std::uint64_t seed) {
  std::vector<int> node_of(at(nodes));
  switch (placement) {
    case Placement::Packed: std::iota(node_of.begin(), node_of.end(), 0); break;
    case Placement::Spread:
      for (int i = 0; i < nodes; ++i) node_of[at(i)] = static_cast<int>(std::int64_t{i} * cluster.nodes / nodes);
      break;
    case Placement::Random: {
      std::vector<int> all(at(cluster.nodes));
      std::iota(all.begin(), all.end(), 0);
      Rng rng(seed, "placement");
      for (int i = 0; i < nodes; ++i) {
        const auto j = at(i) + rng.below(static_cast<std::uint64_t>(cluster.nodes - i));
        std::swap(all[at(i)], all[j]);
        node_of[at(i)] = all[at(i)];
      }
      break;
    }
  }
  return node_of;
}

int nodes_needed(const std::vector<int>& gpu_of_rank, int per_node) {
  return *std::max_element(gpu_of_rank.begin(), gpu_of_rank.end()) / per_node + 1;
}

std::vector<int> nodes_used(const std::vector<int>& gpu_of_rank, int per_node) {
  std::vector<int> nodes;
  for (const int gpu : gpu_of_rank) {
    if (nodes.empty() || nodes.back() != gpu / per_node) nodes.push_back(gpu / per_node);
  }
  return nodes;
}

LinkChanges changes_of(const SimulationSpec& s) { return {s.slow_links, s.failed_links}; }

ClusterSpec planned_cluster(ClusterSpec cluster, const std::vector<int>& gpu_of_rank, const SimulationSpec& s) {
  if (!s.failed_links.empty())
    cluster.node = surviving_node(cluster.node, nodes_used(gpu_of_rank, cluster.node.gpus), changes_of(s));
  return cluster;
}

Fabric fabric_of(const std::vector<int>& gpu_of_rank, const RunSpec& run, const ClusterSpec& cluster,
                 const LibrarySpec& library, const LinkChanges& changes) {
  return Fabric(cluster, nodes_needed(gpu_of_rank, cluster.node.gpus), run.simulation.routing, run.training.seed,
                changes, staging_of(library, run.allreduce));
}

}  // namespace

std::vector<int> place(Placement placement, int world_size, const ClusterSpec& cluster, std::uint64_t seed) {
  const int per_node = cluster.node.gpus;
  const int nodes = (world_size + per_node - 1) / per_node;
  if (nodes > cluster.nodes) {
    throw ConfigError(
        "cluster " + cluster.name, "cluster.gpus",
        std::to_string(world_size) + " GPUs asked for, the cluster has " + std::to_string(cluster.total_gpus()));
  }
  const std::vector<int> node_of = nodes_of(placement, nodes, cluster, seed);
  std::vector<int> gpu_of_rank(at(world_size));
  for (int r = 0; r < world_size; ++r) gpu_of_rank[at(r)] = node_of[at(r / per_node)] * per_node + r % per_node;
  return gpu_of_rank;
}

Machine::Machine(const RunSpec& run, const ClusterSpec& cluster, LibrarySpec its_library, int capability)
    : world(run.cluster.gpus),
      gpu_of_rank(place(run.cluster.placement, world, cluster, run.training.seed)),
      planned(planned_cluster(cluster, gpu_of_rank, run.simulation)),
      library(std::move(its_library)),
      fabric(fabric_of(gpu_of_rank, run, cluster, library, changes_of(run.simulation))),
      engine{limited_to(library, capability, static_cast<int>(nodes_used(gpu_of_rank, cluster.node.gpus).size())),
             gpu_of_rank, cluster.node.gpus},
      context(estimate_context(planned, library, std::min(world, cluster.node.gpus), run, capability)) {}

std::optional<Fabric> sound_fabric(const Machine& machine, const RunSpec& run, const ClusterSpec& cluster) {
  if (run.simulation.slow_links.empty() && run.simulation.failed_links.empty()) return std::nullopt;
  return fabric_of(machine.gpu_of_rank, run, cluster, machine.library, {});
}

CollectiveTime simulate_collective(Machine& machine, const CollectivePlan& plan, const std::string& asked,
                                   Time stagger) {
  LOCKSTEP_EXPECTS(plan.grid.size() == machine.world);
  const int protocol = choose_protocol(plan, machine.context, asked);
  std::vector<Time> entries;
  entries.reserve(at(machine.world));
  for (int r = 0; r < machine.world; ++r) entries.push_back(stagger * (r % machine.engine.gpus_per_node));
  CollectiveTime t;
  t.protocol = machine.library.protocols[at(protocol)].name;
  t.time = bare_collective_time(machine.fabric, machine.engine, plan, protocol, entries, nullptr, &t.messages) +
           machine.library.launch.value;
  return t;
}

}  // namespace lockstep::sim
