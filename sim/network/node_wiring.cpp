#include "sim/network/node_wiring.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Links by the names of their ends.
class Builder {
 public:
  Builder(const ClusterSpec& cluster, const std::vector<char>& dead)
      : cluster_(cluster), node_(cluster.node), pcie_(cluster.node.pcie), nic_(cluster.node.nic), dead_(dead) {}

  NodeWiring build(bool with_nics, Bandwidth port_rate, Time first_hop) {
    if (node_.nvlink.present) add_nvlink();
    if (!pcie_.switches.empty()) add_pcie();
    if (with_nics) add_nics(port_rate, first_hop);
    if (pcie_.host_copy.value.bytes_per_second() > 0) add_copies();
    if (!faults_.empty()) throw ConfigError(std::move(faults_));
    for (int from = 0; from < node_.gpus; ++from) {
      for (int to = 0; to < node_.gpus; ++to) wiring_.between.push_back(between(from, to));
    }
    if (with_nics) {
      for (int gpu = 0; gpu < node_.gpus; ++gpu) join(gpu);
    }
    return std::move(wiring_);
  }

 private:
  static std::string gpu_name(int g) { return "gpu" + std::to_string(g); }
  static std::string switch_name(int s) { return "pcie" + std::to_string(s); }
  static std::string cpu_name(int c) { return "cpu" + std::to_string(c); }
  static std::string nic_name(int n) { return "nic" + std::to_string(n); }

  void fault(const std::string& key, const std::string& message) {
    const bool known = std::any_of(faults_.begin(), faults_.end(),
                                   [&](const Fault& f) { return f.key == key && f.message == message; });
    if (!known) faults_.push_back({cluster_.name, key, message});
  }

  void add(const std::string& from, const std::string& to, Bandwidth rate, Time latency, const std::string& key) {
    if (!(rate.bytes_per_second() > 0)) fault(key, "is needed and must be above zero");
    index_[{from, to}] = static_cast<std::int32_t>(wiring_.links.size());
    wiring_.links.push_back({from + ">" + to, rate, latency});
  }

  bool in_node(int gpu) const { return gpu >= 0 && gpu < node_.gpus; }

  void add_nvlink() {
    const NvlinkSpec& nvlink = node_.nvlink;
    if (nvlink.through_switch) {
      const Bandwidth rate = nvlink.per_link.value * nvlink.links_per_gpu;
      for (int g = 0; g < node_.gpus; ++g) {
        add(gpu_name(g), "nvswitch", rate, nvlink.latency.value, "node.nvlink.per_link");
        add("nvswitch", gpu_name(g), rate, Time::zero(), "node.nvlink.per_link");
      }
      return;
    }
    for (const NvlinkPair& pair : nvlink.pairs) {
      if (!in_node(pair.a) || !in_node(pair.b) || pair.a == pair.b || pair.links < 1) {
        fault("node.nvlink.pairs", "a pair must name two GPUs of the node and at least one link");
        continue;
      }
      if (index_.count({gpu_name(pair.a), gpu_name(pair.b)})) {
        fault("node.nvlink.pairs",
              "GPUs " + std::to_string(pair.a) + " and " + std::to_string(pair.b) + " are listed twice");
        continue;
      }
      const Bandwidth rate = nvlink.per_link.value * pair.links;
      add(gpu_name(pair.a), gpu_name(pair.b), rate, nvlink.latency.value, "node.nvlink.per_link");
      add(gpu_name(pair.b), gpu_name(pair.a), rate, nvlink.latency.value, "node.nvlink.per_link");
    }
  }

  void add_cpu(int cpu) {
    if (std::find(cpus_.begin(), cpus_.end(), cpu) != cpus_.end()) return;
    for (int other : cpus_) {
      add(cpu_name(other), cpu_name(cpu), pcie_.host_link.value, pcie_.latency.value, "node.pcie.host_link");
      add(cpu_name(cpu), cpu_name(other), pcie_.host_link.value, pcie_.latency.value, "node.pcie.host_link");
    }
    cpus_.push_back(cpu);
  }

  void add_pcie() {
    const Bandwidth x16 = pcie_.x16.value;
    const Time crossing = pcie_.latency.value;
    switch_of_.assign(at(node_.gpus), -1);
    if (!pcie_.cpu_of_switch.empty() && pcie_.cpu_of_switch.size() != pcie_.switches.size()) {
      fault("node.pcie.cpu_of_switch",
            "needs one CPU for each of the " + std::to_string(pcie_.switches.size()) + " switches");
      return;
    }
    for (int s = 0; s < static_cast<int>(pcie_.switches.size()); ++s) {
      const int cpu = cpu_of(s);
      add_cpu(cpu);
      add(switch_name(s), cpu_name(cpu), x16, crossing, "node.pcie.x16");
      add(cpu_name(cpu), switch_name(s), x16, crossing, "node.pcie.x16");
      for (int gpu : pcie_.switches[at(s)]) {
        if (!in_node(gpu) || switch_of_[at(gpu)] >= 0) {
          fault("node.pcie.switches", "GPU " + std::to_string(gpu) + " is not in the node or is below two switches");
          continue;
        }
        switch_of_[at(gpu)] = s;
        add(gpu_name(gpu), switch_name(s), x16, crossing, "node.pcie.x16");
        add(switch_name(s), gpu_name(gpu), x16, Time::zero(), "node.pcie.x16");
      }
    }
    for (int gpu = 0; gpu < node_.gpus; ++gpu) {
      if (switch_of_[at(gpu)] < 0)
        fault("node.pcie.switches", "GPU " + std::to_string(gpu) + " is below no PCIe switch");
    }
  }

  void add_nics(Bandwidth port_rate, Time first_hop) {
    if (nic_.count < 1) {
      fault("node.nic.count", "nodes need at least one NIC to reach each other");
      return;
    }
    for (const auto& [list, key, size] : {std::tuple{&nic_.cpu, "node.nic.cpu", nic_.count},
                                          std::tuple{&nic_.under_switch, "node.nic.under_switch", nic_.count},
                                          std::tuple{&nic_.nic_of_gpu, "node.nic.nic_of_gpu", node_.gpus}}) {
      if (!list->empty() && static_cast<int>(list->size()) != size)
        fault(key, "needs " + std::to_string(size) + " entries or none");
    }
    for (int gpu = 0; gpu < node_.gpus; ++gpu) {
      const int nic = node_.nic_of(gpu);
      if (nic < 0 || nic >= nic_.count) fault("node.nic.nic_of_gpu", "there is no NIC " + std::to_string(nic));
      wiring_.nic_of_gpu.push_back(nic);
    }
    if (!faults_.empty()) return;
    const Bandwidth rate = std::min(nic_.rate.value, port_rate);
    for (int n = 0; n < nic_.count; ++n) {
      if (!pcie_.switches.empty()) {
        const int below = switch_of_nic(n);
        if (below >= static_cast<int>(pcie_.switches.size())) {
          fault("node.nic.under_switch", "there is no PCIe switch " + std::to_string(below));
          continue;
        }
        if (below < 0) add_cpu(cpu_of_nic(n));
        const std::string host = below < 0 ? cpu_name(cpu_of_nic(n)) : switch_name(below);
        add(host, nic_name(n), pcie_.x16.value, Time::zero(), "node.pcie.x16");
        add(nic_name(n), host, pcie_.x16.value, pcie_.latency.value, "node.pcie.x16");
      }
      add(nic_name(n), "net", rate, nic_.latency.value + first_hop, "node.nic.rate");
      add("net", nic_name(n), rate, nic_.latency.value, "node.nic.rate");
    }
  }

  void add_copies() {
    for (int gpu = 0; gpu < node_.gpus; ++gpu) {
      add(gpu_name(gpu), "host", pcie_.host_copy.value, Time::zero(), "node.pcie.host_copy");
      add("host", gpu_name(gpu), pcie_.host_copy.value, Time::zero(), "node.pcie.host_copy");
      wiring_.into_host.push_back(index_.at({gpu_name(gpu), "host"}));
      wiring_.out_of_host.push_back(index_.at({"host", gpu_name(gpu)}));
    }
  }

  int cpu_of(int pcie_switch) const { return pcie_.cpu_of_switch.empty() ? 0 : pcie_.cpu_of_switch[at(pcie_switch)]; }
  int cpu_of_nic(int nic) const { return nic_.cpu.empty() ? 0 : nic_.cpu[at(nic)]; }
  int switch_of_nic(int nic) const { return nic_.under_switch.empty() ? -1 : nic_.under_switch[at(nic)]; }

  void step(Leg& leg, const std::string& from, const std::string& to) const {
    leg.links.push_back(index_.at({from, to}));
  }

  bool works(const Leg& leg) const {
    return leg.exists && std::none_of(leg.links.begin(), leg.links.end(),
                                      [&](std::int32_t link) { return at(link) < dead_.size() && dead_[at(link)]; });
  }

  Leg between(int from, int to) const {
    Leg leg;
    leg.exists = from == to;
    if (from == to) return leg;
    if (Leg fast = over_nvlink(from, to); works(fast)) return fast;
    if (pcie_.switches.empty()) return leg;
    leg.exists = true;
    leg.path_class = PathClass::Pcie;
    walk(leg, climb(gpu_name(from), switch_of_[at(from)], cpu_of(switch_of_[at(from)])),
         climb(gpu_name(to), switch_of_[at(to)], cpu_of(switch_of_[at(to)])));
    return works(leg) ? leg : Leg{};
  }

  Leg over_nvlink(int from, int to) const {
    Leg leg;
    leg.path_class = PathClass::Nvlink;
    if (node_.nvlink.present && node_.nvlink.through_switch) {
      leg.exists = true;
      step(leg, gpu_name(from), "nvswitch");
      step(leg, "nvswitch", gpu_name(to));
    } else if (index_.count({gpu_name(from), gpu_name(to)})) {
      leg.exists = true;
      step(leg, gpu_name(from), gpu_name(to));
    }
    return leg;
  }

  /// The GPU's own NIC, or the next one that works both ways.
  void join(int gpu) {
    int& own = wiring_.nic_of_gpu[at(gpu)];
    for (int k = 0; k < nic_.count; ++k) {
      const int nic = (own + k) % nic_.count;
      const Leg out = to_nic(gpu, nic, true), in = to_nic(gpu, nic, false);
      if (!works(out) || !works(in)) continue;
      own = nic;
      wiring_.out.push_back(out);
      wiring_.in.push_back(in);
      return;
    }
    wiring_.out.emplace_back();
    wiring_.in.emplace_back();
  }

  Leg to_nic(int gpu, int nic, bool outward) const {
    Leg leg;
    leg.exists = true;
    leg.path_class = PathClass::Network;
    if (!outward) step(leg, "net", nic_name(nic));
    if (!pcie_.switches.empty()) {
      const int below = switch_of_nic(nic);
      const auto gpu_climb = climb(gpu_name(gpu), switch_of_[at(gpu)], cpu_of(switch_of_[at(gpu)]));
      const auto nic_climb = climb(nic_name(nic), below, below < 0 ? cpu_of_nic(nic) : cpu_of(below));
      outward ? walk(leg, gpu_climb, nic_climb) : walk(leg, nic_climb, gpu_climb);
    }
    if (outward) step(leg, nic_name(nic), "net");
    return leg;
  }

  /// From a device to its CPU: {device, switch if any, CPU}.
  static std::vector<std::string> climb(const std::string& device, int pcie_switch, int cpu) {
    if (pcie_switch < 0) return {device, cpu_name(cpu)};
    return {device, switch_name(pcie_switch), cpu_name(cpu)};
  }

  /// Up one climb and down the other, turning at the first place that both have, or over the socket link.
  void walk(Leg& leg, const std::vector<std::string>& up, const std::vector<std::string>& down) const {
    std::vector<std::string> places = up;
    std::size_t turn = down.size();
    for (std::size_t i = 1; i < up.size() && turn == down.size(); ++i) {
      for (std::size_t j = 1; j < down.size(); ++j) {
        if (up[i] != down[j]) continue;
        places.resize(i + 1);
        turn = j;
        break;
      }
    }
    for (std::size_t j = turn; j-- > 0;) places.push_back(down[j]);
    for (std::size_t i = 0; i + 1 < places.size(); ++i) {
      step(leg, places[i], places[i + 1]);
      leg.crosses_host |= places[i].rfind("cpu", 0) == 0;
    }
  }

  const ClusterSpec& cluster_;
  const NodeSpec& node_;
  const PcieSpec& pcie_;
  const NicSpec& nic_;
  const std::vector<char>& dead_;
  NodeWiring wiring_;
  std::map<std::pair<std::string, std::string>, std::int32_t> index_;
  std::vector<int> switch_of_;
  std::vector<int> cpus_;
  std::vector<Fault> faults_;
};

}  // namespace

NodeWiring wire_node(const ClusterSpec& cluster, bool with_nics, Bandwidth port_rate, Time first_hop,
                     const std::vector<char>& dead) {
  return Builder(cluster, dead).build(with_nics, port_rate, first_hop);
}

}  // namespace lockstep::sim
