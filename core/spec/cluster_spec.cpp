#include "core/spec/cluster_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/spec/checker.hpp"

namespace lockstep {

namespace {

constexpr int kMostGpusPerNode = 64;

/// What names single GPUs cannot be judged by a count that is itself at fault.
bool countable(const NodeSpec& node) { return node.gpus >= 1 && node.gpus <= kMostGpusPerNode; }

void check_rate(Checker& c, const Sourced<Bandwidth>& sourced, const std::string& key) {
  const double rate = sourced.value.bytes_per_second();
  c.expect(rate > 0 && std::isfinite(rate), key, "a rate of {} bytes per second; expected more, such as \"12GBps\"",
           rate);
}

void check_nvlink(Checker& c, const NodeSpec& node) {
  const NvlinkSpec& n = node.nvlink;
  if (!n.present) return;
  check_rate(c, n.per_link, "node.nvlink.per_link");
  c.expect(!n.switch_adds || n.through_switch, "node.nvlink.switch_adds",
           "there is no switch to add anything; expected through_switch = true beside it");
  if (n.through_switch) {
    c.expect(n.links_per_gpu >= 1 && n.links_per_gpu <= 64, "node.nvlink.links_per_gpu",
             "{} links to the switch; expected 1 to 64", n.links_per_gpu);
    c.expect(n.pairs.empty(), "node.nvlink.pairs", "pairs beside a switch; expected one or the other");
    return;
  }
  c.expect(!n.pairs.empty() || node.gpus <= 1, "node.nvlink.pairs",
           "no pair is joined; expected pairs [GPU, GPU, links] or a switch");
  std::set<std::pair<int, int>> seen;
  for (const NvlinkPair& p : n.pairs) {
    const bool range = p.a >= 0 && p.b >= 0 && p.a < node.gpus && p.b < node.gpus;
    c.expect(range || !countable(node), "node.nvlink.pairs", "[{}, {}, {}] names a GPU outside 0 to {}", p.a, p.b,
             p.links, std::max(1, node.gpus) - 1);
    c.expect(p.a != p.b, "node.nvlink.pairs", "[{}, {}, {}] joins a GPU to itself", p.a, p.b, p.links);
    c.expect(p.links >= 1 && p.links <= 64, "node.nvlink.pairs", "[{}, {}, {}] has {} links; expected 1 to 64", p.a,
             p.b, p.links, p.links);
    c.expect(seen.insert(std::minmax(p.a, p.b)).second, "node.nvlink.pairs", "pair {}-{} is given twice", p.a, p.b);
  }
}

void check_pcie(Checker& c, const NodeSpec& node) {
  const PcieSpec& p = node.pcie;
  if (p.host_copy.value != Bandwidth::bytes_per_second(0)) check_rate(c, p.host_copy, "node.pcie.host_copy");
  if (p.switches.empty()) return;
  check_rate(c, p.x16, "node.pcie.x16");
  if (countable(node)) {
    std::multiset<int> gpus;
    for (const auto& s : p.switches) gpus.insert(s.begin(), s.end());
    for (int g = 0; g < node.gpus; ++g) {
      c.expect(gpus.count(g) == 1, "node.pcie.switches", "local rank {} is below {} switches; expected exactly one", g,
               gpus.count(g));
    }
    for (int g : gpus)
      c.expect(g >= 0 && g < node.gpus, "node.pcie.switches", "local rank {} does not exist; the node has {} GPUs", g,
               node.gpus);
  }
  c.expect(p.cpu_of_switch.size() == p.switches.size(), "node.pcie.cpu_of_switch", "{} entries for {} switches",
           p.cpu_of_switch.size(), p.switches.size());
  for (int cpu : p.cpu_of_switch) c.expect(cpu >= 0, "node.pcie.cpu_of_switch", "socket {}; sockets count from 0", cpu);
  std::set<int> cpus(p.cpu_of_switch.begin(), p.cpu_of_switch.end());
  if (cpus.size() > 1 && p.host_link.value == Bandwidth::bytes_per_second(0))
    c.expect(false, "node.pcie.host_link",
             "missing or 0, and cpu_of_switch names {} sockets; expected the rate between them, such as \"10GBps\"",
             cpus.size());
  else if (cpus.size() > 1)
    check_rate(c, p.host_link, "node.pcie.host_link");
}

void check_nics(Checker& c, const ClusterSpec& cluster) {
  const NodeSpec& node = cluster.node;
  const NicSpec& n = node.nic;
  c.expect(n.count >= 0 && n.count <= 64, "node.nic.count", "{} NICs; expected 0 to 64", n.count);
  if (n.count <= 0) {
    c.expect(cluster.nodes == 1 && cluster.network.kind == NetworkKind::None, "node.nic.count",
             "{} nodes cannot reach each other without a NIC", cluster.nodes);
    return;
  }
  const auto count = static_cast<std::size_t>(n.count);
  check_rate(c, n.rate, "node.nic.rate");
  c.expect(n.connections >= 1 && n.connections <= 256, "node.nic.connections", "{} connections; expected 1 to 256",
           n.connections);
  c.expect(static_cast<int>(n.nic_of_gpu.size()) == node.gpus, "node.nic.nic_of_gpu", "{} entries for {} GPUs",
           n.nic_of_gpu.size(), node.gpus);
  for (int nic : n.nic_of_gpu)
    c.expect(nic >= 0 && nic < n.count, "node.nic.nic_of_gpu", "NIC {} does not exist; NICs are 0 to {}", nic,
             n.count - 1);
  if (node.pcie.switches.empty()) return;
  c.expect(n.under_switch.empty() || n.cpu.empty(), "node.nic.cpu",
           "NICs sit under switches or on sockets; expected under_switch or cpu, not both");
  if (!n.under_switch.empty()) {
    c.expect(n.under_switch.size() == count, "node.nic.under_switch", "{} entries for {} NICs", n.under_switch.size(),
             n.count);
    for (int s : n.under_switch) {
      c.expect(s >= 0 && s < static_cast<int>(node.pcie.switches.size()), "node.nic.under_switch",
               "PCIe switch {} does not exist", s);
    }
  } else {
    c.expect(n.cpu.size() == count, "node.nic.cpu",
             "{} entries for {} NICs; expected the socket of each (or under_switch)", n.cpu.size(), n.count);
    for (int cpu : n.cpu) c.expect(cpu >= 0, "node.nic.cpu", "socket {}; sockets count from 0", cpu);
  }
}

void check_network(Checker& c, const ClusterSpec& cluster) {
  const NetworkSpec& net = cluster.network;
  if (net.kind == NetworkKind::None) {
    c.expect(cluster.nodes == 1, "network.kind",
             "{} nodes and no network; the topology is not connected. Expected star or fat_tree", cluster.nodes);
    return;
  }
  c.expect(!net.tiers.empty(), "network.tiers", "no tier of switches; the topology is not connected");
  if (net.kind == NetworkKind::Star)
    c.expect(net.tiers.size() <= 1, "network.tiers", "{} tiers; a star has one", net.tiers.size());
  std::int64_t groups = 1;
  for (std::size_t i = 0; i < net.tiers.size(); ++i) {
    const TierSpec& t = net.tiers[i];
    const std::string key = fmt::format("network.tiers[{}]", i);
    c.expect(t.switches >= 1 && t.switches <= 10'000, key + ".switches", "{} switches; expected 1 to 10000",
             t.switches);
    c.expect(t.cables >= 1 && t.cables <= 10'000, key + ".cables", "{} cables; expected 1 to 10000", t.cables);
    c.expect(t.group >= 0, key + ".group", "{}; expected 0 (all) or more", t.group);
    if (net.kind == NetworkKind::FatTree || i > 0) check_rate(c, t.rate, key + ".rate");
    if (net.kind != NetworkKind::FatTree) continue;
    if (i == 0) {
      c.expect(t.group >= 1, key + ".group", "ports per leaf switch; expected at least 1");
      c.expect(t.switches <= 1, key + ".switches", "{} switches; expected 1, for a NIC port is joined to one leaf",
               t.switches);
      groups = t.group >= 1 && net.nodes_per_rack >= 0 ? net.leaves(cluster.nodes, cluster.node.nic.count) : 1;
    } else {
      groups = t.group == 0 ? 1 : (groups + t.group - 1) / t.group;
    }
  }
  if (net.kind == NetworkKind::FatTree && !net.tiers.empty()) {
    c.expect(
        groups <= 1, "network.tiers",
        "the topology is not connected: the top tier leaves {} separate groups; expected a last tier with group = 0",
        groups);
  }
  c.expect(net.nodes_per_rack >= 0, "network.nodes_per_rack", "{} nodes; expected 0 (no racks) or more",
           net.nodes_per_rack);
  c.expect(net.leaves_per_rack >= 0, "network.leaves_per_rack",
           "{} leaves; expected 0 (as many as the ports need) or more", net.leaves_per_rack);
  if (net.nodes_per_rack > 0 && !net.tiers.empty() && net.leaves_per_rack > 0) {
    c.expect(long{net.leaves_per_rack} * net.tiers[0].group >= long{net.nodes_per_rack} * cluster.node.nic.count,
             "network.nodes_per_rack", "{} nodes with {} NICs do not fit {} leaves of {} ports", net.nodes_per_rack,
             cluster.node.nic.count, net.leaves_per_rack, net.tiers[0].group);
  }
}

}  // namespace

int NodeSpec::nic_of(int rank) const {
  const auto r = static_cast<std::size_t>(rank);
  return r < nic.nic_of_gpu.size() ? nic.nic_of_gpu[r] : rank * nic.count / gpus;
}

bool NodeSpec::nics_beside(int used) const {
  for (int rank = 0; rank < used; ++rank) {
    const auto n = static_cast<std::size_t>(nic_of(rank));
    if (n >= nic.under_switch.size()) return false;
    const int below = nic.under_switch[n];
    if (below < 0 || static_cast<std::size_t>(below) >= pcie.switches.size()) return false;
    const auto& beside = pcie.switches[static_cast<std::size_t>(below)];
    if (std::find(beside.begin(), beside.end(), rank) == beside.end()) return false;
  }
  return true;
}

bool NodeSpec::meets_in_host(int first, int end) const {
  if (pcie.switches.empty() || (nvlink.present && nvlink.through_switch)) return false;
  const auto together = [&](int a, int b) {
    return nvlink.present && std::any_of(nvlink.pairs.begin(), nvlink.pairs.end(), [&](const NvlinkPair& p) {
             return (p.a == a && p.b == b) || (p.a == b && p.b == a);
           });
  };
  const auto below = [&](int rank) {
    const auto holds = [&](const std::vector<int>& s) { return std::find(s.begin(), s.end(), rank) != s.end(); };
    return std::find_if(pcie.switches.begin(), pcie.switches.end(), holds);
  };
  for (int a = first; a < end; ++a) {
    for (int b = a + 1; b < end; ++b) {
      if (below(a) != below(b) && !together(a, b)) return true;
    }
  }
  return false;
}

std::int64_t NetworkSpec::rack_leaves(int nics) const {
  if (nodes_per_rack == 0) return 0;
  const std::int64_t ports = std::int64_t{nodes_per_rack} * nics, group = tiers.front().group;
  return leaves_per_rack > 0 ? leaves_per_rack : (ports + group - 1) / group;
}

std::int64_t NetworkSpec::leaves(std::int64_t nodes, int nics) const {
  if (nodes_per_rack > 0) return (nodes + nodes_per_rack - 1) / nodes_per_rack * rack_leaves(nics);
  return (nodes * nics + tiers.front().group - 1) / tiers.front().group;
}

std::vector<Fault> validate(const ClusterSpec& cluster) {
  Checker c("cluster file");
  c.expect(cluster.nodes >= 1 && cluster.nodes <= 1'000'000, "cluster.nodes", "{} nodes; expected 1 to 1000000",
           cluster.nodes);
  c.expect(countable(cluster.node), "node.gpus", "{} GPUs per node; expected 1 to {}", cluster.node.gpus,
           kMostGpusPerNode);
  check_nvlink(c, cluster.node);
  check_pcie(c, cluster.node);
  c.expect(cluster.node.gpus == 1 || cluster.node.nvlink.present || !cluster.node.pcie.switches.empty(), "node.pcie",
           "the {} GPUs of a node cannot reach each other; expected [node.pcie] or [node.nvlink]", cluster.node.gpus);
  check_nics(c, cluster);
  check_network(c, cluster);
  return std::move(c.faults);
}

}  // namespace lockstep
