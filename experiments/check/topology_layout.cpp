#include "experiments/check/topology_layout.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lockstep::check {

namespace {

/// Local ranks by socket, then PCIe switch.
std::vector<int> gpu_order(const NodeSpec& node) {
  std::vector<int> order;
  if (node.pcie.switches.empty()) {
    order.resize(static_cast<std::size_t>(node.gpus));
    std::iota(order.begin(), order.end(), 0);
    return order;
  }
  std::vector<std::size_t> switches(node.pcie.switches.size());
  std::iota(switches.begin(), switches.end(), 0);
  std::stable_sort(switches.begin(), switches.end(), [&](std::size_t a, std::size_t b) {
    return node.pcie.cpu_of_switch[a] < node.pcie.cpu_of_switch[b];
  });
  for (std::size_t s : switches) order.insert(order.end(), node.pcie.switches[s].begin(), node.pcie.switches[s].end());
  return order;
}

constexpr double kNicPitch = kNicWidth + 22;  // leaves room beside a socket

/// NICs that stand over these GPUs, per GPU.
double nics_per_gpu(const std::vector<int>& nic_homes, int home, std::size_t gpus) {
  return static_cast<double>(std::count(nic_homes.begin(), nic_homes.end(), home)) /
         static_cast<double>(std::max<std::size_t>(1, gpus));
}

/// From GPU to GPU, wide enough for the NICs over them.
double gpu_pitch(const NodeSpec& node) {
  const NicSpec& nics = node.nic;
  double most = node.pcie.switches.empty() ? static_cast<double>(nics.count) / node.gpus : 0;
  std::map<int, std::size_t> gpus_of_socket;
  for (std::size_t s = 0; s < node.pcie.switches.size(); ++s) {
    most = std::max(most, nics_per_gpu(nics.under_switch, static_cast<int>(s), node.pcie.switches[s].size()));
    gpus_of_socket[node.pcie.cpu_of_switch[s]] += node.pcie.switches[s].size();
  }
  for (const auto& [cpu, gpus] : gpus_of_socket) most = std::max(most, nics_per_gpu(nics.cpu, cpu, gpus));
  return std::max(kPitch, most * kNicPitch);
}

/// Moves apart what overlaps, to the right as far as there is room, else to the left.
void part(std::vector<double>& nics, double right) {
  std::vector<std::size_t> order(nics.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return nics[a] < nics[b]; });
  for (std::size_t i = 1; i < order.size(); ++i)
    nics[order[i]] = std::max(nics[order[i]], nics[order[i - 1]] + kNicWidth + 8);
  for (std::size_t i = order.size(); i-- > 0; right = nics[order[i]] - kNicWidth - 8)
    nics[order[i]] = std::min(nics[order[i]], right);
}

void place_nics(const NodeSpec& node, double pitch, NodeColumns& out) {
  const NicSpec& nics = node.nic;
  const auto count = static_cast<std::size_t>(std::max(nics.count, 0));
  out.nic.assign(count, out.all.middle());
  if (node.pcie.switches.empty()) {
    for (std::size_t n = 0; n < count; ++n)
      out.nic[n] =
          out.all.left + (out.all.right - out.all.left) * (static_cast<double>(n) + 0.5) / static_cast<double>(count);
    return;
  }
  const std::vector<int>& home = nics.under_switch.empty() ? nics.cpu : nics.under_switch;
  for (std::size_t n = 0; n < count; ++n) {
    const double among = static_cast<double>(std::count(home.begin(), home.end(), home[n]));
    const double before = static_cast<double>(std::count(home.begin(), home.begin() + static_cast<long>(n), home[n]));
    if (nics.under_switch.empty()) {
      out.nic[n] = out.cpu.at(home[n]) + (before - (among - 1) / 2) * kNicPitch;
      continue;
    }
    const Span& s = out.pcie_switch[static_cast<std::size_t>(home[n])];
    out.nic[n] = s.middle() + (s.right - s.left - kGpuWidth + pitch) * ((before + 0.5) / among - 0.5);
    const double cpu = out.cpu.at(node.pcie.cpu_of_switch[static_cast<std::size_t>(home[n])]);
    const double clear = kCpuWidth / 2 + 12;
    if (std::abs(out.nic[n] - cpu) < clear) out.nic[n] = cpu + (out.nic[n] <= cpu ? -clear : clear);
  }
  part(out.nic, out.all.right - kNicWidth / 2);
}

}  // namespace

NodeColumns node_columns(const NodeSpec& node, double least_width) {
  NodeColumns out;
  const double pitch = gpu_pitch(node), gpus_width = pitch * node.gpus;
  const double width = std::max(gpus_width, least_width);
  out.all = {kGutter, kGutter + width};
  out.gpu.resize(static_cast<std::size_t>(node.gpus));
  double x = kGutter + (width - gpus_width) / 2 + pitch / 2;
  for (int g : gpu_order(node)) {
    out.gpu[static_cast<std::size_t>(g)] = x;
    x += pitch;
  }
  std::map<int, Span> sockets;
  for (std::size_t s = 0; s < node.pcie.switches.size(); ++s) {
    Span span{1e9, -1e9};
    for (int g : node.pcie.switches[s]) {
      span.left = std::min(span.left, out.gpu[static_cast<std::size_t>(g)] - kGpuWidth / 2);
      span.right = std::max(span.right, out.gpu[static_cast<std::size_t>(g)] + kGpuWidth / 2);
    }
    if (node.pcie.switches[s].empty()) span = {out.all.right - kGpuWidth, out.all.right};
    out.pcie_switch.push_back(span);
    const auto [at, fresh] = sockets.try_emplace(node.pcie.cpu_of_switch[s], span);
    if (!fresh) at->second = {std::min(at->second.left, span.left), std::max(at->second.right, span.right)};
  }
  for (const auto& [cpu, span] : sockets) out.cpu[cpu] = span.middle();
  if (!node.pcie.switches.empty()) {
    for (int cpu : node.nic.under_switch.empty() ? node.nic.cpu : std::vector<int>{})
      out.cpu.try_emplace(cpu, out.all.right - kCpuWidth / 2);
  }
  place_nics(node, pitch, out);
  return out;
}

}  // namespace lockstep::check
