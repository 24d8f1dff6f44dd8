#include "experiments/check/network_shape.hpp"

#include <algorithm>

namespace lockstep::check {

namespace {

long ceil_div(long a, long b) { return (a + b - 1) / b; }

}  // namespace

std::vector<TierShape> network_shape(const ClusterSpec& cluster) {
  const NetworkSpec& net = cluster.network;
  std::vector<TierShape> out;
  if (net.kind == NetworkKind::None || net.tiers.empty()) return out;
  if (net.kind == NetworkKind::Star) return {TierShape{}};

  const long ports = long{cluster.nodes} * cluster.node.nic.count;
  const bool racks = net.nodes_per_rack > 0;
  const TierSpec& leaf = net.tiers[0];
  const std::int64_t leaves = net.leaves(cluster.nodes, cluster.node.nic.count);
  out.push_back({leaves, leaves * leaf.switches, {}, {}});
  const Bandwidth port = std::min(cluster.node.nic.rate.value, leaf.rate.value);
  double ports_below = static_cast<double>(std::min<long>(leaf.group, ports));  // below one group of the tier beneath
  if (racks)
    ports_below = std::min(ports_below, static_cast<double>(net.nodes_per_rack) * cluster.node.nic.count /
                                            static_cast<double>(net.rack_leaves(cluster.node.nic.count)));
  for (std::size_t t = 1; t < net.tiers.size(); ++t) {
    const TierSpec& tier = net.tiers[t];
    const TierShape& beneath = out.back();
    TierShape shape;
    shape.groups = tier.group == 0 ? 1 : ceil_div(beneath.groups, tier.group);
    shape.switches = shape.groups * tier.switches;
    if (beneath.groups > 1) {
      shape.below = port * ports_below;
      const double cables = double{1} * net.tiers[t - 1].switches * tier.switches * tier.cables;
      shape.up = tier.rate.value * cables;
    }
    ports_below =
        std::min(ports_below *
                     static_cast<double>(tier.group == 0 ? beneath.groups : std::min<long>(tier.group, beneath.groups)),
                 static_cast<double>(ports));
    out.push_back(shape);
  }
  return out;
}

int leaf_of_nic(const ClusterSpec& cluster, int nic) {
  const NetworkSpec& net = cluster.network;
  if (net.kind != NetworkKind::FatTree || net.tiers.empty() || net.tiers[0].group < 1) return 0;
  const int port = net.nodes_per_rack > 0 ? nic * net.nodes_per_rack : nic;
  return port / net.tiers[0].group;
}

}  // namespace lockstep::check
