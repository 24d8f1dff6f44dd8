#include "sim/fold/traffic.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "core/base/digest.hpp"
#include "core/plan/node_tree.hpp"
#include "sim/fold/group_schedules.hpp"

namespace lockstep::sim {

namespace {

/// Where a member stands in its schedule; equal places do the same at about the same time.
std::uint64_t place_of(const Schedule& schedule, int member) {
  Digest d;
  if (const auto* ring = std::get_if<RingSchedule>(&schedule.variant())) {
    if (!is_ring(schedule)) d.add(static_cast<std::uint64_t>(ring->orders.place_of(0, member)));
  } else if (const auto* tree = std::get_if<TreeSchedule>(&schedule.variant())) {
    const auto neighbour = [&](int t, int m, int lane) {
      const int l = t * tree->lanes_per_tree() + lane;
      return tree->steps(m, l) > 0 ? tree->step(m, l, 0).send_to : -1;
    };
    for (int t = 0; t < 2; ++t) {
      int depth = 0, height = 0;
      for (int m = neighbour(t, member, TreeSchedule::kSendUp); m >= 0; m = neighbour(t, m, TreeSchedule::kSendUp))
        ++depth;
      for (int m = neighbour(t, member, TreeSchedule::kSendLeft); m >= 0; m = neighbour(t, m, TreeSchedule::kSendLeft))
        ++height;
      d.add(static_cast<std::uint64_t>(depth));
      d.add(static_cast<std::uint64_t>(height));
      d.add(static_cast<std::uint64_t>(neighbour(t, member, TreeSchedule::kSendRight) >= 0));
    }
  } else if (const auto* nvls = std::get_if<NvlsSchedule>(&schedule.variant())) {
    const int node = member / nvls->node;
    for (int t = 0; t < nvls->trees(); ++t) {
      const auto at_node = [&](int k) { return double_tree(nvls->nodes(), t, k); };
      int depth = 0, height = 0;
      for (int k = at_node(node).parent; k >= 0; k = at_node(k).parent) ++depth;
      for (int k = at_node(node).left; k >= 0; k = at_node(k).left) ++height;
      d.add(static_cast<std::uint64_t>(depth));
      d.add(static_cast<std::uint64_t>(height));
      d.add(static_cast<std::uint64_t>(at_node(node).right >= 0));
    }
  }
  return d.value();
}

/// The nodes of `alone` and of those who pass on what they send up.
std::set<int> single_nodes(const EngineSettings& settings, const GroupSchedules& groups, std::span<const int> alone) {
  std::set<int> nodes;
  for (const int rank : alone) {
    nodes.insert(settings.gpu_of_rank[at(rank)] / settings.gpus_per_node);
    if (!groups.takes_part(rank)) continue;
    const auto* tree = std::get_if<TreeSchedule>(&groups.of(rank).variant());
    for (int t = 0; tree && t < tree->trees(); ++t) {
      const int up = t * tree->lanes_per_tree() + TreeSchedule::kSendUp;
      for (int m = groups.member(rank); tree->steps(m, up) > 0;) {
        m = tree->step(m, up, 0).send_to;
        nodes.insert(settings.gpu_of_rank[at(groups.peer(rank, m))] / settings.gpus_per_node);
      }
    }
    const auto* nvls = std::get_if<NvlsSchedule>(&groups.of(rank).variant());
    for (int t = 0; nvls && t < nvls->trees(); ++t) {
      for (int k = double_tree(nvls->nodes(), t, groups.member(rank) / nvls->node).parent; k >= 0;
           k = double_tree(nvls->nodes(), t, k).parent)
        nodes.insert(settings.gpu_of_rank[at(groups.peer(rank, k * nvls->node))] / settings.gpus_per_node);
    }
  }
  return nodes;
}

/// Fills ranks and class_of: nodes whose ranks have equal places are one class, the first of them stands for it.
void classify(Traffic& traffic, const EngineSettings& settings, const GroupSchedules& groups, int world,
              std::span<const int> alone) {
  const int per_node = settings.gpus_per_node;
  std::map<int, Digest> nodes;  // node -> what its ranks do
  std::unordered_map<int, std::uint64_t> places;
  for (int r = 0; r < world; ++r) {
    if (!groups.takes_part(r)) continue;
    const auto [it, fresh] = places.emplace(groups.member(r), 0);
    if (fresh) it->second = place_of(groups.of(r), groups.member(r));
    Digest& node = nodes[settings.gpu_of_rank[at(r)] / per_node];
    node.add(static_cast<std::uint64_t>(settings.gpu_of_rank[at(r)] % per_node));
    node.add(it->second);
  }
  for (const int node : single_nodes(settings, groups, alone)) {
    if (const auto it = nodes.find(node); it != nodes.end()) it->second.add(static_cast<std::uint64_t>(node));
  }
  std::unordered_map<std::uint64_t, int> first;
  std::unordered_map<int, int> stands, index_of_gpu;
  for (const auto& [node, digest] : nodes) stands[node] = first.emplace(digest.value(), node).first->second;
  for (int r = 0; r < world; ++r) {
    const int gpu = settings.gpu_of_rank[at(r)];
    if (!groups.takes_part(r) || stands.at(gpu / per_node) != gpu / per_node) continue;
    index_of_gpu[gpu] = static_cast<int>(traffic.ranks.size());
    traffic.ranks.push_back(r);
  }
  traffic.class_of.assign(at(world), -1);
  for (int r = 0; r < world; ++r) {
    const int gpu = settings.gpu_of_rank[at(r)];
    if (groups.takes_part(r))
      traffic.class_of[at(r)] = index_of_gpu.at(stands.at(gpu / per_node) * per_node + gpu % per_node);
  }
}

/// Fills hops. Of the cables that a lane's messages cross, the one with most messages of the whole phase is watched, by all lanes.
void survey(Traffic& traffic, Fabric& fabric, const EngineSettings& settings, const GroupSchedules& groups, int world) {
  for (int rank : traffic.ranks) traffic.hops.emplace_back(at(groups.of(rank).lanes(groups.member(rank))));
  const auto first_cable = static_cast<std::int32_t>(fabric.first_cable());
  std::vector<std::int32_t> load(fabric.links().size() - at(first_cable));
  struct Message {
    Hop* hop;
    std::span<const std::int32_t> links;
  };
  std::vector<Message> messages;  // of lanes that leave their node
  for (int r = 0; r < world; ++r) {
    const int c = traffic.class_of[at(r)];
    if (c < 0) continue;
    const Schedule& s = groups.of(r);
    const int member = groups.member(r), from = settings.gpu_of_rank[at(r)];
    for (std::size_t l = 0; l < traffic.hops[at(c)].size(); ++l) {
      if (s.steps(member, static_cast<int>(l)) == 0) continue;
      const ScheduleStep step = s.step(member, static_cast<int>(l), 0);
      if (step.send_to < 0) continue;
      const int to = settings.gpu_of_rank[at(groups.peer(r, step.send_to))];
      if (from / settings.gpus_per_node == to / settings.gpus_per_node) continue;
      const Route& route = fabric.route(from, to);
      Hop& hop = traffic.hops[at(c)][l];
      hop.longest = std::max(hop.longest, route.latency);
      hop.latency_sum += route.latency.seconds();
      ++hop.count;
      messages.push_back({&hop, route.links});
      for (std::int32_t k : route.links) {
        if (k >= first_cable) ++load[at(k - first_cable)];
      }
    }
  }
  if (load.empty()) return;
  std::unordered_map<const Hop*, std::int32_t> worst;
  const auto crowding = [&](std::int32_t l) {
    return load[at(l - first_cable)] / fabric.links()[at(l)].capacity.bytes_per_second();
  };
  for (const Message& m : messages) {
    for (std::int32_t l : m.links) {
      if (l < first_cable) continue;
      const auto [it, fresh] = worst.emplace(m.hop, l);
      if (crowding(l) > crowding(it->second)) it->second = l;
    }
  }
  std::vector<char> watched(load.size(), 0);
  for (const auto& [hop, l] : worst) watched[at(l - first_cable)] = 1;
  for (const Message& m : messages) {
    for (std::int32_t l : m.links) {
      if (l < first_cable || !watched[at(l - first_cable)]) continue;
      auto& cables = m.hop->cables;
      const auto it = std::find_if(cables.begin(), cables.end(), [l](const auto& c) { return c.first == l; });
      if (it == cables.end())
        cables.emplace_back(l, 1);
      else
        ++it->second;
    }
  }
}

}  // namespace

Traffic traffic_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   std::span<const int> alone) {
  const GroupSchedules groups(plan, phase);
  Traffic traffic;
  classify(traffic, settings, groups, plan.grid.size(), alone);
  survey(traffic, fabric, settings, groups, plan.grid.size());
  return traffic;
}

}  // namespace lockstep::sim
