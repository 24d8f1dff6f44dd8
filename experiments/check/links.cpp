#include "experiments/check/links.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/units_text.hpp"
#include "sim/network/fabric.hpp"
#include "sim/network/link_names.hpp"

namespace lockstep::check {

namespace {

/// "leaf" of "leaf12>fbb3.4"
std::string tier_of(const sim::Link& link) { return link.name.substr(0, link.name.find_first_of("0123456789")); }

}  // namespace

std::vector<Cables> cables_of(const ClusterSpec& cluster) {
  const int nodes = cluster.network.kind == NetworkKind::None ? 1 : cluster.nodes;
  const sim::Fabric fabric(cluster, nodes, Routing::Static, 0);
  const auto& links = fabric.links();
  const std::size_t between = fabric.first_cable(), per_node = between / static_cast<std::size_t>(nodes);
  std::vector<Cables> out;
  // Both directions of a cable lie side by side.
  for (std::size_t i = 0; i < per_node; i += 2) {
    out.push_back({true, sim::cable_name(links[i]), sim::cable_name(links[between - per_node + i]),
                   static_cast<std::size_t>(nodes), links[i].capacity, links[i].latency});
  }
  for (std::size_t i = between; i < links.size();) {
    std::size_t end = i;
    while (end < links.size() && tier_of(links[end]) == tier_of(links[i])) end += 2;
    out.push_back({false, sim::cable_name(links[i]), sim::cable_name(links[end - 2]), (end - i) / 2, links[i].capacity,
                   links[i].latency});
    i = end;
  }
  return out;
}

std::string to_text(const ClusterSpec& cluster, const std::vector<Cables>& cables) {
  std::string out = fmt::format(
      "{}: a cable by its name (both directions), one direction with .up or .down, any text with *\n", cluster.name);
  const auto line = [&](const Cables& c, const std::string& more) {
    out += fmt::format("  {:<24} {:>10}  {:>8}{}\n", c.first, to_text(c.bandwidth), to_text(c.latency), more);
  };
  for (std::size_t i = 0; i < cables.size(); ++i) {
    const Cables& c = cables[i];
    if (c.inside_node) {
      if (i == 0)
        out += fmt::format("inside a node ({})\n",
                           c.count == 1 ? "node0 alone" : fmt::format("node0 to node{} alike", c.count - 1));
      line(c, "");
    } else {
      if (i == 0 || cables[i - 1].inside_node) out += "between switches\n";
      line(c, fmt::format("   to {}: {} cables", c.last, c.count));
    }
  }
  return out;
}

std::string to_json(const std::vector<Cables>& cables) {
  auto out = nlohmann::ordered_json::array();
  for (const Cables& c : cables) {
    out.push_back({{"place", c.inside_node ? "node" : "switches"},
                   {"cable", c.first},
                   {"to", c.last},
                   {"cables", c.count},
                   {"bandwidth_GBps", c.bandwidth.gigabytes_per_second()},
                   {"latency_us", c.latency.microseconds()}});
  }
  return out.dump(2) + "\n";
}

}  // namespace lockstep::check
