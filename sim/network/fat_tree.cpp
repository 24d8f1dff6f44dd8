#include "sim/network/fat_tree.hpp"

#include <string>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// "leaf3>spine0.1": the second cable from leaf3 to spine0.
std::string cable_name(const std::string& from, const std::string& to, int number) {
  std::string name = from;
  name += '>';
  name += to;
  name += '.';
  name += std::to_string(number);
  return name;
}

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

  leaves_per_rack_ = cluster.network.rack_leaves(nics_);
  const std::int64_t needed = divide_up(std::int64_t{nodes_per_rack_} * nics_, specs[0].group);
  if (leaves_per_rack_ < needed)
    throw ConfigError(cluster.name, "network.leaves_per_rack",
                      "a rack's ports need " + std::to_string(needed) + " leaves");
  const std::int64_t groups = cluster.network.leaves(nodes, nics_);

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
              links.push_back({cable_name(low, high, c), spec.rate.value, spec.hop.value});
              links.push_back({cable_name(high, low, c), spec.rate.value, specs[t - 1].hop.value});
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

std::uint64_t FatTree::number(std::size_t tier, std::int64_t to_port, int from_gpu, int to_gpu, bool down) const {
  if (routing_ == Routing::Static) return static_cast<std::uint64_t>(to_port / tiers_[tier].divisor);
  Digest hash;
  hash.add(seed_);
  hash.add(static_cast<std::uint64_t>(from_gpu));
  hash.add(static_cast<std::uint64_t>(to_gpu));
  hash.add(tier * 2 + (down ? 1 : 0));
  return hash.value();
}

std::int32_t FatTree::cable(std::size_t tier, std::int64_t lower_group, int lower_switch, int pick, bool down) const {
  const Tier& t = tiers_[tier];
  const std::int64_t lower = lower_group * tiers_[tier - 1].switches + lower_switch;
  const std::int64_t index = (lower * t.switches + pick % t.switches) * t.cables + pick / t.switches;
  return t.first_link + static_cast<std::int32_t>(index * 2 + (down ? 1 : 0));
}

namespace {

/// The k-th of `count` things to try, by a number that chooses the first.
int candidate(std::uint64_t number, int count, int k) {
  const auto n = static_cast<std::uint64_t>(count);
  const std::uint64_t first = number % n;
  if (k == 0) return static_cast<int>(first);
  return static_cast<int>((first + 1 + (number / n + static_cast<std::uint64_t>(k) - 1) % (n - 1)) % n);
}

}  // namespace

/// Up to tier `top` and down again, depth first: without dead cables the first try succeeds.
struct FatTree::Search {
  const FatTree& tree;
  std::int64_t to_port;
  int from_gpu, to_gpu;
  std::size_t top;
  std::vector<std::int64_t> from_groups, to_groups;  // by tier
  std::vector<std::int32_t>& out;

  bool take(std::int32_t link) {
    if (tree.dead(link)) return false;
    out.push_back(link);
    return true;
  }

  bool up(std::size_t tier, int here) {
    if (tier == top) return down(top, here);
    const Tier& above = tree.tiers_[tier + 1];
    const std::uint64_t number = tree.number(tier + 1, to_port, from_gpu, to_gpu, false);
    const int choices = above.switches * above.cables;
    for (int k = 0; k < choices; ++k) {
      const int pick = candidate(number, choices, k);
      if (!take(tree.cable(tier + 1, from_groups[tier], here, pick, false))) continue;
      if (up(tier + 1, pick % above.switches)) return true;
      out.pop_back();
    }
    return false;
  }

  /// The switch above is given; which switch below it, and which parallel cable, the destination's own numbers say.
  bool down(std::size_t tier, int here) {
    if (tier == 0) return true;
    const Tier& t = tree.tiers_[tier];
    const int below = tier > 1 ? tree.tiers_[tier - 1].switches : 1;
    const int below_choices = tier > 1 ? below * tree.tiers_[tier - 1].cables : 1;
    const std::uint64_t low = tier > 1 ? tree.number(tier - 1, to_port, from_gpu, to_gpu, true) : 0;
    const std::uint64_t cable_number = tree.number(tier, to_port, from_gpu, to_gpu, true);
    const int first_below = candidate(low, below_choices, 0) % below;
    const int first_cable = candidate(cable_number, t.switches * t.cables, 0) / t.switches;
    for (int b = 0; b < below; ++b) {
      const int lower = (first_below + b) % below;
      for (int c = 0; c < t.cables; ++c) {
        const int pick = here + (first_cable + c) % t.cables * t.switches;
        if (!take(tree.cable(tier, to_groups[tier - 1], lower, pick, true))) continue;
        if (down(tier - 1, lower)) return true;
        out.pop_back();
      }
    }
    return false;
  }
};

int FatTree::path(std::int64_t from_port, std::int64_t to_port, int from_gpu, int to_gpu,
                  std::vector<std::int32_t>& out) const {
  Search search{*this, to_port, from_gpu, to_gpu, 0, {leaf(from_port)}, {leaf(to_port)}, out};
  while (true) {
    if (search.from_groups[search.top] == search.to_groups[search.top] && search.up(0, 0))
      return static_cast<int>(2 * search.top + 1);
    if (++search.top == tiers_.size()) return -1;
    const std::int64_t group = tiers_[search.top].group;
    const auto above = [&](std::int64_t g) { return group == 0 ? 0 : g / group; };
    search.from_groups.push_back(above(search.from_groups.back()));
    search.to_groups.push_back(above(search.to_groups.back()));
  }
}

}  // namespace lockstep::sim
