// What makes a cluster implausible although it is well formed.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/units_text.hpp"
#include "experiments/check/limits.hpp"
#include "experiments/check/network_shape.hpp"
#include "experiments/check/rule.hpp"

namespace lockstep::check {

namespace {

using Doubts = std::vector<Doubt>;

/// The largest rate that the file holds possible: the band counts, it is simulated too.
Bandwidth top(const Sourced<Bandwidth>& rate) { return std::max(rate.value, rate.high); }

std::vector<int> links_of_gpus(const NodeSpec& node) {
  std::vector<int> links(static_cast<std::size_t>(node.gpus),
                         node.nvlink.through_switch ? node.nvlink.links_per_gpu : 0);
  for (const NvlinkPair& p : node.nvlink.pairs) {
    links[static_cast<std::size_t>(p.a)] += p.links;
    links[static_cast<std::size_t>(p.b)] += p.links;
  }
  return links;
}

Doubts nvlink_rate(const ClusterSubject& s) {
  const NvlinkSpec& nvlink = s.cluster.node.nvlink;
  const int cc = s.gpu.compute_capability;
  if (!nvlink.present || cc == 0) return {};
  const auto generation = nvlink_of(cc);
  if (!generation)
    return {{"node.nvlink",
             fmt::format("no GPU of compute capability {} is known to have NVLink, and {} is one", cc, s.gpu.name)}};
  if (top(nvlink.per_link) <= generation->per_link) return {};
  return {{"node.nvlink.per_link",
           fmt::format("{} is above the {} per direction that one {} link carries; a datasheet's sum of both "
                       "directions or of several links?",
                       to_text(top(nvlink.per_link)), to_text(generation->per_link), generation->name)}};
}

Doubts nvlink_count(const ClusterSubject& s) {
  const auto generation = nvlink_of(s.gpu.compute_capability);
  if (!s.cluster.node.nvlink.present || !generation) return {};
  const auto links = links_of_gpus(s.cluster.node);
  const auto most = std::max_element(links.begin(), links.end());
  if (*most <= generation->links) return {};
  return {{s.cluster.node.nvlink.through_switch ? "node.nvlink.links_per_gpu" : "node.nvlink.pairs",
           fmt::format("GPU {} has {} links; a GPU with {} has {}", most - links.begin(), *most, generation->name,
                       generation->links)}};
}

Doubts nvlink_memory(const ClusterSubject& s) {
  if (!s.cluster.node.nvlink.present) return {};
  const auto links = links_of_gpus(s.cluster.node);
  const Bandwidth sum = s.cluster.node.nvlink.per_link.value * *std::max_element(links.begin(), links.end());
  if (sum <= s.gpu.memory_achieved.value) return {};
  return {{"node.nvlink.per_link", fmt::format("all links of a GPU carry {}, more than the {} that its memory reaches",
                                               to_text(sum), to_text(s.gpu.memory_achieved.value))}};
}

/// H100 came with the first NVSwitch that adds; switches of older GPUs do not.
Doubts switch_adds(const ClusterSubject& s) {
  const NvlinkSpec& nvlink = s.cluster.node.nvlink;
  const int cc = s.gpu.compute_capability;
  constexpr int kFirst = 90;
  if (!nvlink.present || !nvlink.through_switch || cc == 0 || nvlink.switch_adds == (cc >= kFirst)) return {};
  return {{"node.nvlink.switch_adds",
           nvlink.switch_adds
               ? fmt::format("NVSwitches of {}, of compute capability {}, do not add", s.gpu.name, cc)
               : fmt::format("false, but NVSwitches of {}, of compute capability {}, add", s.gpu.name, cc)}};
}

Doubts pcie_rate(const ClusterSubject& s) {
  const PcieSpec& pcie = s.cluster.node.pcie;
  if (pcie.switches.empty()) return {};
  const PcieGeneration slot = pcie_of(s.gpu.compute_capability);
  if (top(pcie.x16) <= slot.x16) return {};
  return {
      {"node.pcie.x16", fmt::format("{} is above the {} per direction of a PCIe gen{} x16 slot, the generation of {}",
                                    to_text(top(pcie.x16)), to_text(slot.x16), slot.generation, s.gpu.name)}};
}

Doubts host_copy(const ClusterSubject& s) {
  const NodeSpec& node = s.cluster.node;
  const PcieSpec& pcie = node.pcie;
  if (!(top(pcie.host_copy).bytes_per_second() > 0)) {
    if (!node.meets_in_host(0, node.gpus)) return {};
    return {
        {"node.pcie.host_copy",
         fmt::format("missing, so copies between GPUs through host memory are as fast as x16, {}; measured, both ways "
                     "at once: 0.4 to 0.7 of it",
                     to_text(pcie.x16.value))}};
  }
  if (pcie.switches.empty() || top(pcie.host_copy) <= top(pcie.x16)) return {};
  return {{"node.pcie.host_copy", fmt::format("{} is above the {} of node.pcie.x16, by which the copies go",
                                              to_text(top(pcie.host_copy)), to_text(top(pcie.x16)))}};
}

Doubts nic_slot(const ClusterSubject& s) {
  const NodeSpec& node = s.cluster.node;
  if (node.pcie.switches.empty() || node.nic.count == 0 || node.nic.rate.value <= node.pcie.x16.value) return {};
  return {{"node.nic.rate", fmt::format("{} is above the {} of node.pcie.x16, the slot that the NIC sits in",
                                        to_text(node.nic.rate.value), to_text(node.pcie.x16.value))}};
}

Doubts nic_connection(const ClusterSubject& s) {
  const NicSpec& nic = s.cluster.node.nic;
  if (nic.count == 0 || nic.connection.value == Bandwidth::bytes_per_second(0)) return {};
  if (nic.transport != NicTransport::Tcp)
    return {
        {"node.nic.connection", "the rate of a TCP connection, but node.nic.transport is \"rdma\": it is not used"}};
  if (nic.connection.value <= nic.rate.value) return {};
  return {{"node.nic.connection", fmt::format("{} in one connection is above the {} of the NIC, and limits nothing",
                                              to_text(nic.connection.value), to_text(nic.rate.value))}};
}

Doubts nic_count(const ClusterSubject& s) {
  const NodeSpec& node = s.cluster.node;
  const std::set<int> used(node.nic.nic_of_gpu.begin(), node.nic.nic_of_gpu.end());
  if (node.nic.count <= node.gpus && static_cast<int>(used.size()) == node.nic.count) return {};
  if (node.nic.count == 0) return {};
  return {{"node.nic.count", fmt::format("{} NICs for {} GPUs, and a GPU uses one: {} carry nothing", node.nic.count,
                                         node.gpus, node.nic.count - static_cast<int>(used.size()))}};
}

Doubts nic_detour(const ClusterSubject& s) {
  const NodeSpec& node = s.cluster.node;
  Doubts out;
  if (node.nic.under_switch.empty() || node.nic.count == 0) return out;
  for (std::size_t w = 0; w < node.pcie.switches.size(); ++w) {
    const auto& under = node.nic.under_switch;
    if (std::find(under.begin(), under.end(), static_cast<int>(w)) == under.end()) continue;
    for (int gpu : node.pcie.switches[w]) {
      const int nic = node.nic.nic_of_gpu[static_cast<std::size_t>(gpu)];
      const int at = under[static_cast<std::size_t>(nic)];
      if (at != static_cast<int>(w))
        out.push_back({"node.nic.nic_of_gpu",
                       fmt::format("GPU {} uses NIC {} below PCIe switch {}, though its own switch {} has one", gpu,
                                   nic, at, w)});
    }
  }
  return out;
}

Doubts port_rate(const ClusterSubject& s) {
  Doubts out;
  const auto check = [&](const std::string& key, const Sourced<Bandwidth>& rate) {
    if (top(rate) > fastest_port())
      out.push_back(
          {key, fmt::format("{} is above {} (800 Gbit/s), the fastest port there is; were bits meant (\"Gbps\")?",
                            to_text(top(rate)), to_text(fastest_port()))});
  };
  if (s.cluster.node.nic.count > 0) check("node.nic.rate", s.cluster.node.nic.rate);
  for (std::size_t t = 0; t < s.cluster.network.tiers.size(); ++t)
    check(fmt::format("network.tiers[{}].rate", t), s.cluster.network.tiers[t].rate);
  return out;
}

Doubts leaf_rate(const ClusterSubject& s) {
  if (s.cluster.network.kind != NetworkKind::FatTree || s.cluster.network.tiers.empty()) return {};
  const Bandwidth nic = s.cluster.node.nic.rate.value, leaf = s.cluster.network.tiers[0].rate.value;
  if (leaf >= nic * 0.9) return {};
  return {{"network.tiers[0].rate", fmt::format("a leaf's port carries {}, the NIC in it {}: the NIC can never be used",
                                                to_text(leaf), to_text(nic))}};
}

Doubts latency(const ClusterSubject& s) {
  Doubts out;
  const LatencyWindow window = latency_window();
  const auto check = [&](const std::string& key, const Sourced<Time>& t) {
    if (t.value == Time::zero() || (t.value >= window.least && t.value <= window.most)) return;
    out.push_back({key, fmt::format("{} is outside {} to {}; 0 says that the library's cost per message contains it",
                                    to_text(t.value), to_text(window.least), to_text(window.most))});
  };
  const NodeSpec& node = s.cluster.node;
  if (node.nvlink.present) check("node.nvlink.latency", node.nvlink.latency);
  if (!node.pcie.switches.empty()) check("node.pcie.latency", node.pcie.latency);
  if (node.nic.count > 0) check("node.nic.latency", node.nic.latency);
  for (std::size_t t = 0; t < s.cluster.network.tiers.size(); ++t)
    check(fmt::format("network.tiers[{}].hop", t), s.cluster.network.tiers[t].hop);
  return out;
}

Doubts taper(const ClusterSubject& s) {
  Doubts out;
  const auto shapes = network_shape(s.cluster);
  constexpr double kRounding = 0.99;
  for (std::size_t t = 1; t < shapes.size(); ++t) {
    const double taper = shapes[t].taper();
    if (taper >= kRounding) continue;
    out.push_back(
        {fmt::format("network.tiers[{}]", t),
         fmt::format(
             "taper {:.2f} (1 : {:.1f}): {} up to \"{}\" for {} of ports below; traffic between its parts is slowed",
             taper, 1 / taper, to_text(shapes[t].up), s.cluster.network.tiers[t].name, to_text(shapes[t].below))});
  }
  return out;
}

Doubts switch_ports(const ClusterSubject& s) {
  constexpr long kMost = 2048;  // the largest director chassis; single chips have 512 at most
  const auto shapes = network_shape(s.cluster);
  Doubts out;
  if (s.cluster.network.kind != NetworkKind::FatTree) return out;
  for (std::size_t t = 0; t < shapes.size(); ++t) {
    const TierSpec& tier = s.cluster.network.tiers[t];
    const long beneath = t == 0            ? 0
                         : tier.group == 0 ? shapes[t - 1].groups
                                           : std::min<long>(tier.group, shapes[t - 1].groups);
    const long ports = t == 0 ? tier.group : beneath * s.cluster.network.tiers[t - 1].switches * tier.cables;
    if (ports > kMost)
      out.push_back(
          {fmt::format("network.tiers[{}]", t),
           fmt::format("a \"{}\" needs {} ports downwards; no switch has more than {}", tier.name, ports, kMost)});
  }
  return out;
}

constexpr Rule<ClusterSubject> kRules[] = {
    {"nvlink_rate", "a link no faster than its generation's datasheet", nvlink_rate},
    {"nvlink_count", "no more NVLinks than the GPU has", nvlink_count},
    {"nvlink_memory", "NVLinks of a GPU together no faster than its memory", nvlink_memory},
    {"switch_adds", "NVSwitches that add with GPUs of capability 90 and later only", switch_adds},
    {"pcie_rate", "PCIe no faster than its generation's x16 slot", pcie_rate},
    {"host_copy", "copies through host memory no faster than PCIe", host_copy},
    {"nic_slot", "a NIC no faster than the PCIe slot that it sits in", nic_slot},
    {"nic_connection", "the rate of a connection with TCP only, and no faster than the NIC", nic_connection},
    {"nic_count", "every NIC used by a GPU", nic_count},
    {"nic_detour", "a GPU uses the NIC below its own PCIe switch, if there is one", nic_detour},
    {"port_rate", "network ports of at most 800 Gbit/s", port_rate},
    {"leaf_rate", "leaf ports as fast as the NICs in them", leaf_rate},
    {"latency", "wire latencies of 10 ns to 1 ms, or 0", latency},
    {"taper", "as much bandwidth up from a switch as there is below it", taper},
    {"switch_ports", "switches with ports that exist", switch_ports},
};

}  // namespace

std::span<const Rule<ClusterSubject>> cluster_rules() { return kRules; }

}  // namespace lockstep::check
