#include "sim/network/fabric.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "core/base/error.hpp"
#include "sim/network/fat_tree.hpp"
#include "sim/network/node_wiring.hpp"

namespace lockstep::sim {
namespace {

/// (from, to) -> number of a route. Open addressing: a ring asks for its few pairs millions of times.
class PairTable {
 public:
  static constexpr std::int32_t kMissing = -1;

  std::int32_t find(std::uint64_t key) const {
    for (std::size_t i = slot(key);; i = (i + 1) & (cells_.size() - 1)) {
      if (cells_[i].value == kMissing || cells_[i].key == key) return cells_[i].value;
    }
  }
  void add(std::uint64_t key, std::int32_t value) {
    if (++used_ * 2 > cells_.size()) {
      std::vector<Cell> old(cells_.size() * 2);
      old.swap(cells_);
      for (const Cell& cell : old) {
        if (cell.value != kMissing) place(cell);
      }
    }
    place({key, value});
  }

 private:
  struct Cell {
    std::uint64_t key = 0;
    std::int32_t value = kMissing;
  };
  std::size_t slot(std::uint64_t key) const { return (key * 0x9e3779b97f4a7c15ULL >> 20) & (cells_.size() - 1); }
  void place(const Cell& cell) {
    std::size_t i = slot(cell.key);
    while (cells_[i].value != kMissing) i = (i + 1) & (cells_.size() - 1);
    cells_[i] = cell;
  }
  std::vector<Cell> cells_ = std::vector<Cell>(1024);
  std::size_t used_ = 0;
};

/// Rows of numbers that never move.
class StablePool {
 public:
  std::span<const std::int32_t> keep(const std::vector<std::int32_t>& row) {
    if (blocks_.empty() || used_ + row.size() > kBlock) {
      blocks_.push_back(std::make_unique<std::int32_t[]>(std::max(kBlock, row.size())));
      used_ = 0;
    }
    std::int32_t* to = blocks_.back().get() + used_;
    std::copy(row.begin(), row.end(), to);
    used_ += row.size();
    return {to, row.size()};
  }

 private:
  static constexpr std::size_t kBlock = 1 << 15;
  std::vector<std::unique_ptr<std::int32_t[]>> blocks_;
  std::size_t used_ = 0;
};

}  // namespace

struct Fabric::Impl {
  std::string cluster;
  int gpus = 1;
  int nodes = 1;
  NodeWiring node;
  std::map<int, NodeWiring> damaged;  // nodes whose legs differ, because links of theirs are dead
  std::vector<char> dead;             // by link; empty = none
  std::size_t first_cable = 0;
  Bandwidth port_rate = Bandwidth::unlimited();
  Bandwidth connection = Bandwidth::unlimited();
  int connections = 1;
  bool tcp = false;
  Staging staging;
  NetworkKind kind = NetworkKind::None;
  std::optional<FatTree> tree;
  std::vector<Link> links;
  PairTable numbers;
  std::vector<Route> routes;
  StablePool pool;
  std::vector<std::int32_t> row;

  void append(const Leg& leg, int of_node) {
    const auto first = static_cast<std::int32_t>(static_cast<std::size_t>(of_node) * node.links.size());
    for (std::int32_t link : leg.links) row.push_back(first + link);
  }

  /// Appends the link of a GPU's copies, `of_gpu` being into_host or out_of_host, if the route is staged. False if it has failed.
  bool append_copy(const Route& route, const std::vector<std::int32_t>& of_gpu, int gpu) {
    if (!route.staged || of_gpu.empty()) return true;
    row.push_back(gpu / gpus * static_cast<std::int32_t>(node.links.size()) +
                  of_gpu[static_cast<std::size_t>(gpu % gpus)]);
    return dead.empty() || !dead[static_cast<std::size_t>(row.back())];
  }

  const NodeWiring& wiring(int of_node) const {
    if (damaged.empty()) return node;
    const auto it = damaged.find(of_node);
    return it == damaged.end() ? node : it->second;
  }

  /// The cables between the switches of two GPUs on different nodes; -1 if no way is left.
  int between_switches(int from, int to, std::vector<std::int32_t>& out) const {
    if (!tree) return 1;
    const int from_node = from / gpus, to_node = to / gpus;
    const auto nic = [&](int gpu) { return wiring(gpu / gpus).nic_of_gpu[static_cast<std::size_t>(gpu % gpus)]; };
    return tree->path(tree->port(from_node, nic(from)), tree->port(to_node, nic(to)), from, to, out);
  }

  std::string name(int gpu) const {
    return "GPU " + std::to_string(gpu % gpus) + " of node " + std::to_string(gpu / gpus);
  }

  Route find(int from, int to) {
    Route route;
    row.clear();
    const int from_node = from / gpus, to_node = to / gpus;
    const auto from_local = static_cast<std::size_t>(from % gpus), to_local = static_cast<std::size_t>(to % gpus);
    bool whole = true;
    if (from_node == to_node) {
      const Leg& leg = wiring(from_node).between[from_local * static_cast<std::size_t>(gpus) + to_local];
      whole = leg.exists;
      route.path_class = leg.path_class;
      route.staged = leg.crosses_host;
      whole = append_copy(route, node.into_host, from) && whole;
      append(leg, from_node);
      whole = append_copy(route, node.out_of_host, to) && whole;
    } else {
      const Leg& out = wiring(from_node).out[from_local];
      const Leg& in = wiring(to_node).in[to_local];
      whole = out.exists && in.exists;
      route.staged = staging.holds(out.crosses_host || in.crosses_host);
      whole = append_copy(route, node.into_host, from) && whole;
      append(out, from_node);
      if (whole) route.switches = between_switches(from, to, row);
      whole = whole && route.switches > 0;
      append(in, to_node);
      whole = append_copy(route, node.out_of_host, to) && whole;
      route.path_class = PathClass::Network;
      route.tcp = tcp;
      route.connection = connection;
      route.connections = connections;
    }
    if (!whole)
      throw ConfigError(cluster, "simulation.failed_links",
                        name(from) + " cannot reach " + name(to) + " any more: every way between them has failed");
    for (std::int32_t link : row) route.latency += links[static_cast<std::size_t>(link)].latency;
    route.links = pool.keep(row);
    return route;
  }
};

Fabric::Fabric(const ClusterSpec& cluster, int nodes, Routing routing, std::uint64_t seed, const LinkChanges& changes,
               Staging staging)
    : impl_(std::make_unique<Impl>()) {
  Impl& f = *impl_;
  f.cluster = cluster.name;
  f.gpus = cluster.node.gpus;
  f.nodes = nodes;
  f.kind = cluster.network.kind;
  const NicSpec& nic = cluster.node.nic;
  f.staging = staging;
  f.tcp = nic.transport == NicTransport::Tcp;
  f.connections = nic.connections;
  if (f.tcp && nic.connection.value > Bandwidth::bytes_per_second(0)) f.connection = nic.connection.value;
  if (nodes < 1 || nodes > cluster.nodes) {
    throw ConfigError(
        cluster.name, "nodes",
        "the cluster has " + std::to_string(cluster.nodes) + " nodes; " + std::to_string(nodes) + " were asked for");
  }
  if (f.gpus < 1) throw ConfigError(cluster.name, "node.gpus", "must be at least 1");
  if (nodes > 1 && f.kind == NetworkKind::None) {
    throw ConfigError(cluster.name, "network.kind",
                      "there is no network, so " + std::to_string(nodes) + " nodes cannot reach each other");
  }

  Bandwidth port_rate = Bandwidth::unlimited();
  Time first_hop;
  if (!cluster.network.tiers.empty()) {
    const TierSpec& tier = cluster.network.tiers.front();
    if (tier.rate.value.bytes_per_second() > 0) port_rate = tier.rate.value;
    first_hop = tier.hop.value;
  }
  f.node = wire_node(cluster, nodes > 1, port_rate, first_hop);
  for (std::size_t i = 0; i < f.node.between.size(); ++i) {
    if (f.node.between[i].exists) continue;
    const std::size_t gpus = static_cast<std::size_t>(f.gpus);
    throw ConfigError(cluster.name, "node.nvlink.pairs",
                      "GPU " + std::to_string(i / gpus) + " cannot reach GPU " + std::to_string(i % gpus) +
                          " of its node: add NVLink or a PCIe section");
  }

  f.links.reserve(static_cast<std::size_t>(nodes) * f.node.links.size());
  for (int n = 0; n < nodes; ++n) {
    const std::string prefix = "node" + std::to_string(n) + "/";
    for (const Link& link : f.node.links) f.links.push_back({prefix + link.name, link.capacity, link.latency});
  }
  f.first_cable = f.links.size();
  if (nodes > 1 && f.kind == NetworkKind::FatTree) f.tree.emplace(cluster, nodes, routing, seed, f.links);
  if (nodes > 1) f.port_rate = std::min(cluster.node.nic.rate.value, port_rate);

  for (const SlowLink& slow : changes.slow) {
    for (const std::int32_t link : find_links(f.links, slow.link)) {
      Bandwidth& capacity = f.links[static_cast<std::size_t>(link)].capacity;
      capacity = capacity * slow.factor;
    }
  }
  if (changes.failed.empty()) return;
  f.dead.assign(f.links.size(), 0);
  const std::size_t per_node = f.node.links.size();
  std::set<int> hurt;
  for (const std::string& name : changes.failed) {
    for (const std::int32_t link : find_links(f.links, name)) {
      const auto l = static_cast<std::size_t>(link);
      f.dead[l] = 1;
      if (l < f.first_cable) hurt.insert(static_cast<int>(l / per_node));
    }
  }
  for (const int n : hurt) {
    const auto first = f.dead.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(n) * per_node);
    const std::vector<char> dead(first, first + static_cast<std::ptrdiff_t>(per_node));
    f.damaged.emplace(n, wire_node(cluster, nodes > 1, port_rate, first_hop, dead));
  }
  if (f.tree) f.tree->set_dead(f.dead);
}

Fabric::~Fabric() = default;
Fabric::Fabric(Fabric&&) noexcept = default;

const std::vector<Link>& Fabric::links() const { return impl_->links; }
int Fabric::gpus() const { return impl_->nodes * impl_->gpus; }
std::size_t Fabric::first_cable() const { return impl_->first_cable; }
Bandwidth Fabric::port_rate() const { return impl_->port_rate; }
bool Fabric::works(std::int32_t link) const {
  return impl_->dead.empty() || !impl_->dead[static_cast<std::size_t>(link)];
}

void Fabric::cables(int from_gpu, int to_gpu, std::vector<std::int32_t>& out) const {
  const std::size_t before = out.size();
  if (from_gpu / impl_->gpus == to_gpu / impl_->gpus) return;
  if (impl_->between_switches(from_gpu, to_gpu, out) < 0) out.resize(before);
}

int Fabric::node_of(std::int32_t link) const {
  const auto per_node = static_cast<std::int32_t>(impl_->node.links.size());
  return per_node > 0 && link / per_node < impl_->nodes ? link / per_node : -1;
}

const Route& Fabric::route(int from_gpu, int to_gpu) {
  const std::uint64_t key = static_cast<std::uint64_t>(from_gpu) << 32 | static_cast<std::uint32_t>(to_gpu);
  std::int32_t number = impl_->numbers.find(key);
  if (number == PairTable::kMissing) {
    const int gpus = impl_->nodes * impl_->gpus;
    LOCKSTEP_EXPECTS(from_gpu >= 0 && from_gpu < gpus && to_gpu >= 0 && to_gpu < gpus);
    number = static_cast<std::int32_t>(impl_->routes.size());
    impl_->routes.push_back(impl_->find(from_gpu, to_gpu));
    impl_->numbers.add(key, number);
  }
  return impl_->routes[static_cast<std::size_t>(number)];
}

}  // namespace lockstep::sim
