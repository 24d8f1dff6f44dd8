#include "experiments/check/topology_svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/units_text.hpp"
#include "experiments/check/network_shape.hpp"
#include "experiments/check/svg.hpp"
#include "experiments/check/topology_layout.hpp"

namespace lockstep::check {

namespace {

constexpr Style kSwitchBox{"#e3ecf7", "#3b6ea5", 1.5}, kNicBox{"#fbe9d7", "#c0722b", 1.5},
    kCpuBox{"#eeeeee", "#666666", 1.5}, kPcieBox{"#f4f1e4", "#8a7d3a", 1.5}, kGpuBox{"#dcf0e2", "#2e7d4f", 1.5},
    kNodeFrame{"#fcfcfc", "#999999", 1.2};
constexpr Style kWire{"none", "#555555", 1.4}, kNetWire{"none", "#3b6ea5", 1.2};
constexpr const char *kGrey = "#555555", *kRed = "#b3261e";
constexpr double kTierPitch = 104, kBoxHeight = 34, kNetBox = 82, kNetGap = 16, kLabelX = 18;

std::string thousands(long n) {
  std::string text = std::to_string(n);
  for (auto at = static_cast<long>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string counted(long n, const char* one, const char* many) {
  return fmt::format("{} {}", thousands(n), n == 1 ? one : many);
}

/// ", 200 ns"; nothing for a latency of zero, which the library's cost contains.
std::string after(Time latency) { return latency == Time::zero() ? "" : ", " + to_text(latency); }

/// Several lines in the gutter, the first in bold, around the middle `y`.
void label(Svg& svg, double y, const std::vector<std::string>& lines) {
  double at = y - (static_cast<double>(lines.size()) - 1) * 8;
  for (std::size_t i = 0; i < lines.size(); ++i, at += 16)
    svg.text(kLabelX, at, lines[i], 12, Align::Left, i == 0 ? "#222222" : kGrey, i == 0);
}

/// Switches of one row: a few stand for many.
struct Row {
  std::vector<double> x;
  bool more = false;
};

Row row_of(long count, double middle) {
  Row row;
  row.more = count > 8;
  const long drawn = row.more ? 5 : count;
  const double step = kNetBox + kNetGap;
  for (long i = 0; i < drawn; ++i)
    row.x.push_back(middle + (static_cast<double>(i) - static_cast<double>(drawn - 1) / 2) * step);
  return row;
}

long switches_drawn_of(const ClusterSpec& cluster, std::size_t t, const std::vector<TierShape>& shapes) {
  const NetworkSpec& net = cluster.network;
  if (t > 0 || net.kind == NetworkKind::Star) return net.tiers[t].switches;
  if (net.nodes_per_rack > 0) return net.rack_leaves(cluster.node.nic.count);
  const long total = shapes[0].switches;
  return net.tiers.size() > 1 && net.tiers[1].group > 0 ? std::min<long>(net.tiers[1].group, total) : total;
}

/// Draws the network from y = `top` down; gives the row that the NICs reach.
Row draw_network(Svg& svg, const ClusterSpec& cluster, double top, double middle) {
  const NetworkSpec& net = cluster.network;
  const auto shapes = network_shape(cluster);
  std::vector<Row> rows;
  for (std::size_t t = 0; t < shapes.size(); ++t) rows.push_back(row_of(switches_drawn_of(cluster, t, shapes), middle));
  const auto y_of = [&](std::size_t t) { return top + kTierPitch * static_cast<double>(shapes.size() - 1 - t); };

  for (std::size_t t = 1; t < shapes.size(); ++t) {
    Style wire = kNetWire;
    wire.width = 0.8 + 0.5 * std::min(net.tiers[t].cables, 6);
    for (double up : rows[t].x) {
      for (double down : rows[t - 1].x) svg.line(down, y_of(t - 1), up, y_of(t) + kBoxHeight, wire);
    }
    const double taper = shapes[t].taper(), y = (y_of(t) + y_of(t - 1) + kBoxHeight) / 2;
    svg.text(kLabelX, y - 8,
             fmt::format("{} x {} each to each", counted(net.tiers[t].cables, "cable", "cables"),
                         to_text(net.tiers[t].rate.value)),
             12, Align::Left, kGrey);
    if (shapes[t].below.bytes_per_second() > 0) {
      const bool tapered = taper < 0.99;
      svg.text(kLabelX, y + 8, tapered ? fmt::format("taper {:.2f} (1 : {:.1f})", taper, 1 / taper) : "no taper", 12,
               Align::Left, tapered ? kRed : kGrey, tapered);
    }
  }
  for (std::size_t t = 0; t < shapes.size(); ++t) {
    const TierSpec& tier = net.tiers[t];
    std::vector<std::string> lines = {tier.name};
    if (net.kind == NetworkKind::Star) {
      lines.push_back(fmt::format("one ideal switch for {} nodes", thousands(cluster.nodes)));
    } else {
      std::string counts = fmt::format("{} in all", thousands(shapes[t].switches));
      if (t == 0 && net.nodes_per_rack > 0)
        counts += fmt::format(", {} per rack", net.rack_leaves(cluster.node.nic.count));
      if (t == 0) counts += fmt::format(", {} NIC ports each", tier.group);
      if (t > 0 && shapes[t].groups > 1) counts += fmt::format(", {} per group", tier.switches);
      lines.push_back(counts);
    }
    lines.push_back((t == 0 ? to_text(tier.rate.value) + " per port, " : "") + "hop " + to_text(tier.hop.value));
    label(svg, y_of(t) + kBoxHeight / 2, lines);
    for (double x : rows[t].x) {
      svg.box(x - kNetBox / 2, y_of(t), kNetBox, kBoxHeight, kSwitchBox);
      svg.text(x, y_of(t) + kBoxHeight / 2, tier.name, tier.name.size() > 10 ? 9 : 12);
    }
    if (rows[t].more)
      svg.text(rows[t].x.back() + kNetBox / 2 + 10, y_of(t) + kBoxHeight / 2, "...", 18, Align::Left, kGrey);
  }
  return rows.empty() ? Row{} : rows.front();
}

double nvlink_depth(const NodeColumns& c, const NvlinkPair& p) {
  const double span = std::abs(c.gpu[static_cast<std::size_t>(p.a)] - c.gpu[static_cast<std::size_t>(p.b)]);
  return 14 + span / kPitch * 19;
}

/// NVLinks below the GPUs; returns the lowest y.
double draw_nvlink(Svg& svg, const NodeSpec& node, const NodeColumns& c, double y) {
  const NvlinkSpec& nvlink = node.nvlink;
  if (!nvlink.present) return y;
  const std::string rate = to_text(nvlink.per_link.value) + " per link" + after(nvlink.latency.value);
  if (nvlink.through_switch) {
    Style wire{"none", kGpuBox.stroke, std::min(1 + 0.4 * nvlink.links_per_gpu, 7.0)};
    for (double x : c.gpu) {
      svg.line(x, y, x, y + 40, wire);
      svg.text(x + 5, y + 20, std::to_string(nvlink.links_per_gpu), 11, Align::Left);
    }
    svg.box(c.all.left, y + 40, c.all.right - c.all.left, 30, kGpuBox);
    svg.text(c.all.middle(), y + 55, nvlink.switch_adds ? "NVSwitch, adds and copies" : "NVSwitch");
    label(svg, y + 40,
          {"NVLink through a switch", fmt::format("{} per GPU", counted(nvlink.links_per_gpu, "link", "links")), rate});
    return y + 74;
  }
  double lowest = y;
  const auto end = [&](int from, int to) {  // ends spread over the GPU, towards where they go
    const double a = c.gpu[static_cast<std::size_t>(from)], b = c.gpu[static_cast<std::size_t>(to)];
    return a + std::clamp((b - a) / kPitch * 6, -30.0, 30.0);
  };
  for (const NvlinkPair& p : nvlink.pairs) {
    const double depth = nvlink_depth(c, p);
    svg.arc(end(p.a, p.b), end(p.b, p.a), y, depth, {"none", p.links > 1 ? "#2e7d4f" : "#8cc3a0", 1.2 + 1.2 * p.links});
    lowest = std::max(lowest, y + depth);
  }
  for (const NvlinkPair& p : nvlink.pairs) {
    const double x = (end(p.a, p.b) + end(p.b, p.a)) / 2;
    svg.text(x, y + nvlink_depth(c, p), std::to_string(p.links), 11, Align::Middle, "#1b5e3a", true);
  }
  label(svg, y + 30, {"NVLink between pairs", "numbers: links of the pair", rate});
  return lowest + 10;
}

/// Draws the node's inside from y = `top` down; returns the lowest y.
double draw_node(Svg& svg, const NodeSpec& node, const NodeColumns& c, double top, const Row& leaves,
                 const ClusterSpec& cluster, double leaf_y) {
  const bool pcie = !node.pcie.switches.empty();
  const bool nics = node.nic.count > 0;
  const double nic_y = top, cpu_y = nic_y + (nics ? 72 : 0), switch_y = cpu_y + (pcie ? 84 : 0),
               gpu_y = switch_y + (pcie ? 64 : 0);

  for (std::size_t n = 0; n < c.nic.size() && !leaves.x.empty(); ++n) {
    const auto leaf = static_cast<std::size_t>(leaf_of_nic(cluster, static_cast<int>(n)));
    svg.line(c.nic[n], nic_y, leaves.x[std::min(leaf, leaves.x.size() - 1)], leaf_y + kBoxHeight,
             {"none", "#c0722b", 1.4});
  }
  for (std::size_t s = 0; s < c.pcie_switch.size(); ++s) {
    const Span& span = c.pcie_switch[s];
    const double cpu = c.cpu.at(node.pcie.cpu_of_switch[s]);
    svg.line(std::clamp(cpu, span.left + 8, span.right - 8), switch_y, cpu, cpu_y + kBoxHeight, kWire);
    for (int g : node.pcie.switches[s])
      svg.line(c.gpu[static_cast<std::size_t>(g)], switch_y, c.gpu[static_cast<std::size_t>(g)], gpu_y, kWire);
  }
  for (std::size_t n = 0; n < c.nic.size(); ++n) {
    if (!pcie) {
      for (std::size_t g = 0; g < c.gpu.size(); ++g) {
        if (node.nic.nic_of_gpu[g] == static_cast<int>(n))
          svg.line(c.nic[n], nic_y + kBoxHeight, c.gpu[g], gpu_y, kWire);
      }
    } else if (!node.nic.under_switch.empty()) {
      const Span& span = c.pcie_switch[static_cast<std::size_t>(node.nic.under_switch[n])];
      svg.line(c.nic[n], nic_y + kBoxHeight, std::clamp(c.nic[n], span.left + 6, span.right - 6), switch_y, kWire);
    } else {
      svg.line(c.nic[n], nic_y + kBoxHeight, c.cpu.at(node.nic.cpu[n]), cpu_y, kWire);
    }
  }
  for (auto it = c.cpu.begin(); it != c.cpu.end() && std::next(it) != c.cpu.end(); ++it)
    svg.line(it->second, cpu_y + kBoxHeight / 2, std::next(it)->second, cpu_y + kBoxHeight / 2,
             {"none", "#555555", 2.4});

  const auto named = [&](double x, double y, double width, const std::string& name, const Style& style) {
    svg.box(x - width / 2, y, width, kBoxHeight, style);
    svg.text(x, y + kBoxHeight / 2, name);
  };
  for (std::size_t n = 0; n < c.nic.size(); ++n) named(c.nic[n], nic_y, kNicWidth, fmt::format("NIC {}", n), kNicBox);
  for (const auto& [cpu, x] : c.cpu) named(x, cpu_y, kCpuWidth, fmt::format("socket {}", cpu), kCpuBox);
  for (const Span& s : c.pcie_switch)
    named(s.middle(), switch_y, s.right - s.left, s.right - s.left > 100 ? "PCIe switch" : "PCIe", kPcieBox);
  for (std::size_t g = 0; g < c.gpu.size(); ++g) named(c.gpu[g], gpu_y, kGpuWidth, fmt::format("GPU {}", g), kGpuBox);

  const double half = kBoxHeight / 2;
  if (nics)
    label(svg, nic_y + half,
          {counted(node.nic.count, "NIC", "NICs"),
           to_text(node.nic.rate.value) + " each" + after(node.nic.latency.value)});
  if (c.cpu.size() > 1)
    label(svg, cpu_y + half,
          {counted(static_cast<long>(c.cpu.size()), "socket", "sockets"),
           fmt::format("{} between them", to_text(node.pcie.host_link.value))});
  if (pcie) {
    std::vector<std::string> lines = {"PCIe", fmt::format("x16: {}, {} per crossing", to_text(node.pcie.x16.value),
                                                          to_text(node.pcie.latency.value))};
    if (node.pcie.host_copy.value > Bandwidth::bytes_per_second(0))
      lines.push_back(fmt::format("copies through the host: {} a GPU", to_text(node.pcie.host_copy.value)));
    label(svg, switch_y + half, lines);
  }
  label(svg, gpu_y + half, {counted(node.gpus, "GPU", "GPUs"), node.gpu});
  return draw_nvlink(svg, node, c, gpu_y + kBoxHeight);
}

}  // namespace

std::string topology_svg(const ClusterSpec& cluster) {
  const auto shapes = network_shape(cluster);
  double widest = kNetBox;
  for (std::size_t t = 0; t < shapes.size(); ++t) {
    const auto drawn = static_cast<double>(row_of(switches_drawn_of(cluster, t, shapes), 0).x.size());
    widest = std::max(widest, drawn * (kNetBox + kNetGap) + 30);
  }
  const NodeColumns columns = node_columns(cluster.node, std::max(widest, 300.0));
  const double network_y = 74, leaf_y = network_y + kTierPitch * (static_cast<double>(shapes.size()) - 1);
  const double frame_y = shapes.empty() ? network_y : leaf_y + kBoxHeight + 56, node_y = frame_y + 44;

  Svg inside;  // its height decides the frame that lies below it
  const Row leaves = draw_network(inside, cluster, network_y, columns.all.middle());
  const double bottom = draw_node(inside, cluster.node, columns, node_y, leaves, cluster, leaf_y) + 14;

  Svg svg;
  svg.text(kLabelX, 24, cluster.title.empty() ? cluster.name : cluster.title, 17, Align::Left, "#222222", true);
  svg.text(kLabelX, 46,
           fmt::format("{} of {}, {} in all; rates per direction, as the file states them",
                       counted(cluster.nodes, "node", "nodes"), counted(cluster.node.gpus, "GPU", "GPUs"),
                       thousands(cluster.total_gpus())),
           12, Align::Left, kGrey);
  for (int shadow = cluster.nodes > 1 ? 2 : 0; shadow >= 0; --shadow)
    svg.box(columns.all.left - 16 + 5 * shadow, frame_y - 5 * shadow, columns.all.right - columns.all.left + 32,
            bottom - frame_y, kNodeFrame);
  label(svg, frame_y + 8, {cluster.nodes > 1 ? fmt::format("one node of {}", thousands(cluster.nodes)) : "the node"});
  svg.append(inside);
  return svg.finish(columns.all.right + 44, bottom + 20, cluster.title);
}

}  // namespace lockstep::check
