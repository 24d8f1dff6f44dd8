#include "sim/network/fat_tree.hpp"

#include <string>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

FatTree::FatTree(const ClusterSpec& cluster, int nodes, Routing routing, std::uint64_t seed, std::vector<Link>& links)
    : nics_(cluster.node.nic.count), nodes_per_rack_(cluster.network.nodes_per_rack), routing_(routing), seed_(seed) {
  const std::vector<TierSpec>& specs = cluster.network.tiers;
  std::vector<Fault> faults;
  const auto fault = [&](const std::string& key, const std::string& message) {
    faults.push_back({cluster.name, key, message});
  };
  if (specs.empty()) throw ConfigError(cluster.name, "network.tiers", "a fat tree needs at least one tier");
  if (specs[0].group < 1) fault("network.tiers[0].group", "must say how many NIC ports a switch has, at least 1");
  if (specs[0].switches != 1) fault("network.tiers[0].switches", "must be 1: a NIC port is joined to one switch");
  for (std::size_t t = 1; t < specs.size(); ++t) {
    const std::string key = "network.tiers[" + std::to_string(t) + "]";
    if (specs[t].group < 0) fault(key + ".group", "must be 0 (all) or more");
    if (specs[t].switches < 1) fault(key + ".switches", "must be at least 1");
    if (specs[t].cables < 1) fault(key + ".cables", "must be at least 1");
    if (!(specs[t].rate.value.bytes_per_second() > 0)) fault(key + ".rate", "is needed and must be above zero");
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));

  std::int64_t groups = 0;
  if (nodes_per_rack_ > 0) {
    const std::int64_t needed = divide_up(static_cast<std::int64_t>(nodes_per_rack_) * nics_, specs[0].group);
    leaves_per_rack_ = cluster.network.leaves_per_rack > 0 ? cluster.network.leaves_per_rack : needed;
    if (leaves_per_rack_ < needed) {
      throw ConfigError(cluster.name, "network.leaves_per_rack",
                        "a rack's ports need " + std::to_string(needed) + " leaves");
    }
    groups = divide_up(nodes, nodes_per_rack_) * leaves_per_rack_;
  } else {
    groups = divide_up(static_cast<std::int64_t>(nodes) * nics_, specs[0].group);
  }

  for (std::size_t t = 0; t < specs.size(); ++t) {
    const TierSpec& spec = specs[t];
    Tier tier{spec.switches, spec.cables, spec.group, groups, 1, static_cast<std::int32_t>(links.size())};
    if (t > 0) {
      const Tier& below = tiers_.back();
      tier.groups = spec.group == 0 ? 1 : divide_up(below.groups, spec.group);
      tier.divisor = t == 1 ? 1 : below.divisor * below.switches;
      for (std::int64_t g = 0; g < below.groups; ++g) {
        for (int lower = 0; lower < below.switches; ++lower) {
          for (int s = 0; s < spec.switches; ++s) {
            const std::int64_t upper_group = spec.group == 0 ? 0 : g / spec.group;
            const std::string low = specs[t - 1].name + std::to_string(g * below.switches + lower);
            const std::string high = spec.name + std::to_string(upper_group * spec.switches + s);
            for (int c = 0; c < spec.cables; ++c) {
              const std::string tail = "." + std::to_string(c);
              links.push_back({low + ">" + high + tail, spec.rate.value, spec.hop.value});
              links.push_back({high + ">" + low + tail, spec.rate.value, specs[t - 1].hop.value});
            }
          }
        }
      }
    }
    tiers_.push_back(tier);
  }
  if (tiers_.back().groups > 1) {
    throw ConfigError(cluster.name, "network.tiers",
                      "the top tier \"" + specs.back().name + "\" leaves " + std::to_string(tiers_.back().groups) +
                          " groups of nodes that nothing joins; add a tier or set its group to 0");
  }
}

std::int64_t FatTree::port(int node, int nic) const {
  if (nodes_per_rack_ == 0) return static_cast<std::int64_t>(node) * nics_ + nic;
  const std::int64_t rack = node / nodes_per_rack_;
  return rack * nodes_per_rack_ * nics_ + static_cast<std::int64_t>(nic) * nodes_per_rack_ + node % nodes_per_rack_;
}

std::int64_t FatTree::leaf(std::int64_t port) const {
  if (nodes_per_rack_ == 0) return port / tiers_[0].group;
  const std::int64_t per_rack = static_cast<std::int64_t>(nodes_per_rack_) * nics_;
  return port / per_rack * leaves_per_rack_ + port % per_rack / tiers_[0].group;
}

int FatTree::choice(std::size_t tier, std::int64_t to_port, int from_gpu, int to_gpu, bool down) const {
  const Tier& t = tiers_[tier];
  const std::int64_t choices = static_cast<std::int64_t>(t.switches) * t.cables;
  if (routing_ == Routing::Static) return static_cast<int>(to_port / t.divisor % choices);
  Digest hash;
  hash.add(seed_);
  hash.add(static_cast<std::uint64_t>(from_gpu));
  hash.add(static_cast<std::uint64_t>(to_gpu));
  hash.add(tier * 2 + (down ? 1 : 0));
  return static_cast<int>(hash.value() % static_cast<std::uint64_t>(choices));
}

std::int32_t FatTree::cable(std::size_t tier, std::int64_t lower_group, int lower_switch, int pick, bool down) const {
  const Tier& t = tiers_[tier];
  const std::int64_t lower = lower_group * tiers_[tier - 1].switches + lower_switch;
  const std::int64_t index = (lower * t.switches + pick % t.switches) * t.cables + pick / t.switches;
  return t.first_link + static_cast<std::int32_t>(index * 2 + (down ? 1 : 0));
}

int FatTree::path(std::int64_t from_port, std::int64_t to_port, int from_gpu, int to_gpu,
                  std::vector<std::int32_t>& out) const {
  std::int64_t from_group = leaf(from_port);
  std::vector<std::int64_t> to_groups{leaf(to_port)};
  int here = 0;  // switch within its group
  std::size_t top = 0;
  while (from_group != to_groups[top]) {
    ++top;
    const int pick = choice(top, to_port, from_gpu, to_gpu, false);
    out.push_back(cable(top, from_group, here, pick, false));
    here = pick % tiers_[top].switches;
    const std::int64_t group = tiers_[top].group;
    from_group = group == 0 ? 0 : from_group / group;
    to_groups.push_back(group == 0 ? 0 : to_groups[top - 1] / group);
  }
  for (std::size_t t = top; t > 0; --t) {
    // The switch above is given; which switch below it, and which parallel cable, the destination's own numbers say.
    const int below = t > 1 ? choice(t - 1, to_port, from_gpu, to_gpu, true) % tiers_[t - 1].switches : 0;
    const int parallel = choice(t, to_port, from_gpu, to_gpu, true) / tiers_[t].switches;
    out.push_back(cable(t, to_groups[t - 1], below, here + parallel * tiers_[t].switches, true));
    here = below;
  }
  return static_cast<int>(2 * top + 1);
}

}  // namespace lockstep::sim
