#include "sim/fold/phase_simulation.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <variant>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

namespace {

constexpr std::int64_t kWholeMessages = 2000;  // a collective of no more is simulated whole
constexpr int kFirstRounds = 6, kLastRounds = 10;  // of a node's ring: the stretch whose steps are prolonged

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// A chunked chain or a tree: lanes of a rank wait for each other. Rings and halving-doubling have independent lanes.
bool is_ring(const Schedule& schedule) {
  const auto* ring = std::get_if<RingSchedule>(&schedule.variant());
  return ring && ring->op != CollectiveOp::Reduce && ring->op != CollectiveOp::Broadcast;
}
bool changes_peers(const Schedule& schedule) { return std::holds_alternative<HalvingDoublingSchedule>(schedule.variant()); }

/// Where a member stands in its schedule; equal places do the same at about the same time.
std::uint64_t place_of(const Schedule& schedule, int member) {
  Digest d;
  if (const auto* ring = std::get_if<RingSchedule>(&schedule.variant())) {
    if (!is_ring(schedule)) d.add(static_cast<std::uint64_t>(ring->orders.place_of(0, member)));
  } else if (const auto* tree = std::get_if<TreeSchedule>(&schedule.variant())) {
    const auto neighbour = [&](int t, int m, int lane) {
      const int l = t * TreeSchedule::kTreeLanes + lane;
      return tree->steps(m, l) > 0 ? tree->step(m, l, 0).send_to : -1;
    };
    for (int t = 0; t < 2; ++t) {
      int depth = 0, height = 0;
      for (int m = neighbour(t, member, TreeSchedule::kSendUp); m >= 0; m = neighbour(t, m, TreeSchedule::kSendUp)) ++depth;
      for (int m = neighbour(t, member, TreeSchedule::kSendLeft); m >= 0; m = neighbour(t, m, TreeSchedule::kSendLeft))
        ++height;
      d.add(static_cast<std::uint64_t>(depth));
      d.add(static_cast<std::uint64_t>(height));
      d.add(static_cast<std::uint64_t>(neighbour(t, member, TreeSchedule::kSendRight) >= 0));
    }
  } else {
    d.add(static_cast<std::uint64_t>(schedule.steps(member, 0)));  // tells the blocks apart
  }
  return d.value();
}

/// Ranks of the phase, and the node that stands for the node of each.
class Classes {
 public:
  Classes(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase) : plan_(plan), phase_(phase) {
    const int world = plan.grid.size(), per_node = settings.gpus_per_node;
    schedule_of_.assign(at(world), -1);
    std::vector<int> of_column(at(plan.grid.x), -1);
    std::map<int, Digest> nodes;  // node -> what its ranks do
    std::unordered_map<std::uint64_t, std::uint64_t> places;
    for (int r = 0; r < world; ++r) {
      if (!plan.takes_part(phase, Rank(r))) continue;
      const int column = phase.group == Group::Column ? r % plan.grid.x : 0;
      if (of_column[at(column)] < 0) {
        of_column[at(column)] = static_cast<int>(schedules_.size());
        schedules_.push_back(plan.schedule(phase, Rank(r)));
      }
      schedule_of_[at(r)] = of_column[at(column)];
      const int gpu = settings.gpu_of_rank[at(r)], member = plan.member(phase, Rank(r));
      // Columns differ in lengths only, so a member's place is the same in all of them.
      const auto [it, fresh] = places.emplace(static_cast<std::uint64_t>(member), 0);
      if (fresh) it->second = place_of(schedules_.front(), member);
      Digest& node = nodes[gpu / per_node];
      node.add(static_cast<std::uint64_t>(gpu % per_node));
      node.add(it->second);
    }
    std::unordered_map<std::uint64_t, int> first;
    std::unordered_map<int, int> stands;
    for (const auto& [node, digest] : nodes) stands[node] = first.emplace(digest.value(), node).first->second;
    std::unordered_map<int, int> index_of_gpu;
    for (int r = 0; r < world; ++r) {
      const int gpu = settings.gpu_of_rank[at(r)];
      if (schedule_of_[at(r)] < 0 || stands.at(gpu / per_node) != gpu / per_node) continue;
      node_class_.push_back(static_cast<int>(node_numbers_.emplace(gpu / per_node, node_numbers_.size()).first->second));
      index_of_gpu[gpu] = static_cast<int>(ranks_.size());
      ranks_.push_back(r);
    }
    class_of_.assign(at(world), -1);
    for (int r = 0; r < world; ++r) {
      const int gpu = settings.gpu_of_rank[at(r)];
      if (schedule_of_[at(r)] >= 0) class_of_[at(r)] = index_of_gpu.at(stands.at(gpu / per_node) * per_node + gpu % per_node);
    }
  }

  const std::vector<int>& ranks() const { return ranks_; }       ///< that stand for their classes
  int class_of(int rank) const { return class_of_[at(rank)]; }  ///< index into ranks(); -1: takes no part
  int node_class(int rank_class) const { return node_class_[at(rank_class)]; }  ///< of the node of a rank of ranks()
  int node_classes() const { return static_cast<int>(node_numbers_.size()); }
  const Schedule& schedule(int rank) const { return schedules_[at(schedule_of_[at(rank)])]; }
  int member(int rank) const { return plan_.member(phase_, Rank(rank)); }
  int peer(int rank, int member) const { return plan_.rank(phase_, Rank(rank), member).value; }

 private:
  const CollectivePlan& plan_;
  const Phase& phase_;
  std::vector<Schedule> schedules_;
  std::vector<int> schedule_of_, ranks_, class_of_, node_class_;
  std::map<int, std::size_t> node_numbers_;
};

/// What the messages of a lane (of a step, where peers change) meet between nodes, over all ranks of a class.
struct Hop {
  Time longest;
  double latency_sum = 0;
  std::int64_t count = 0;
  Bandwidth share = Bandwidth::unlimited();  ///< of the most loaded cable
};

/// By (class, lane or step).
class Hops {
 public:
  Hops(Fabric& fabric, const EngineSettings& settings, const Classes& classes, int world) {
    const Schedule& any = classes.schedule(classes.ranks().front());
    by_step_ = changes_peers(any);
    for (int rank : classes.ranks()) {
      const Schedule& s = classes.schedule(rank);
      const int member = classes.member(rank);
      rows_.emplace_back(at(by_step_ ? s.steps(member, 0) : s.lanes(member)));
    }
    // Who sends at the same time: everyone on all channels of a ring; of trees and chains the same lane of nodes of one class.
    const bool together = is_ring(any);
    std::size_t lanes = 1;
    for (const auto& row : rows_) lanes = std::max(lanes, row.size());
    const std::size_t groups = together ? 1 : lanes * at(classes.node_classes());
    const auto& links = fabric.links();
    std::size_t first_cable = links.size();
    while (first_cable > 0 && fabric.node_of(static_cast<std::int32_t>(first_cable) - 1) < 0) --first_cable;
    std::vector<std::int32_t> load((links.size() - first_cable) * groups);
    const auto row_of = [&](const Route& route, std::size_t group, auto&& visit) {
      for (std::int32_t l : route.links) {
        if (at(l) >= first_cable) visit(load[group * (links.size() - first_cable) + at(l) - first_cable], links[at(l)].capacity);
      }
    };
    const auto each = [&](auto&& visit) {
      for (int r = 0; r < world; ++r) {
        const int c = classes.class_of(r);
        if (c < 0) continue;
        const Schedule& s = classes.schedule(r);
        const int member = classes.member(r);
        for (std::size_t i = 0; i < rows_[at(c)].size(); ++i) {
          const int lane = by_step_ ? 0 : static_cast<int>(i);
          if (!by_step_ && s.steps(member, lane) == 0) continue;
          const ScheduleStep step = s.step(member, lane, by_step_ ? static_cast<std::int64_t>(i) : 0);
          if (step.send_to < 0) continue;
          const int from = settings.gpu_of_rank[at(r)], to = settings.gpu_of_rank[at(classes.peer(r, step.send_to))];
          if (from / settings.gpus_per_node == to / settings.gpus_per_node) continue;
          visit(rows_[at(c)][i], fabric.route(from, to), together ? 0 : at(classes.node_class(c)) * lanes + i);
        }
      }
    };
    each([&](Hop& hop, const Route& route, std::size_t group) {
      hop.longest = std::max(hop.longest, route.latency);
      hop.latency_sum += route.latency.seconds();
      ++hop.count;
      row_of(route, group, [](std::int32_t& flows, Bandwidth) { ++flows; });
    });
    if (load.empty()) return;
    each([&](Hop& hop, const Route& route, std::size_t group) {
      row_of(route, group, [&](std::int32_t flows, Bandwidth rate) { hop.share = std::min(hop.share, rate / flows); });
    });
  }

  const Hop& of(int rank_class, int lane, std::int64_t step) const { return rows_[at(rank_class)][at(by_step_ ? step : lane)]; }

 private:
  bool by_step_ = false;
  std::vector<std::vector<Hop>> rows_;
};

/// The ranks of Classes, lane by lane, on the links of their nodes.
class PhaseSimulation {
 public:
  PhaseSimulation(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase, int protocol)
      : fabric_(fabric),
        settings_(settings),
        plan_(plan),
        protocol_(settings.library.protocols[at(protocol)]),
        tree_(phase.algorithm == PhaseAlgorithm::Tree),
        classes_(settings, plan, phase),
        hops_(fabric, settings, classes_, plan.grid.size()) {
    for (std::size_t i = 0; i < classes_.ranks().size(); ++i) seat(static_cast<int>(i));
    for (std::size_t i = 0; i < classes_.ranks().size(); ++i) find_senders(static_cast<int>(i));
  }

  Time run() {
    const Schedule& s = classes_.schedule(classes_.ranks().front());
    if (!is_ring(s)) return window(0, -1);
    const auto& ring = std::get<RingSchedule>(s.variant());
    const std::int64_t hops = ring.members - 1;
    const bool adds = settings_.library.reduce.value.bytes_per_second() > 0;
    if (ring.op == CollectiveOp::Allreduce && adds) return stretch(0, hops) + stretch(hops, hops);
    return stretch(0, ring.op == CollectiveOp::Allreduce ? 2 * hops : hops);
  }

 private:
  static constexpr std::uint32_t kFlow = 0, kArrival = 1, kCombined = 2;

  /// A message of one lane arrives at these: always, or of one step only.
  struct Target {
    int rank = 0, lane = 0;
    std::int64_t at_step = -1, step = -1;
    int sender = 0;  ///< the real one's GPU, whose way into the receiver's node it takes
  };
  struct Path {
    std::vector<std::int32_t> links, counts;
    Time latency;
    Bandwidth cap;
  };
  struct LaneState {
    std::int64_t step = 0, total = 0;
    bool begun = false, sending = false, combining = false, combined = false, reduce = false;
    std::int64_t receive = -1;
    std::vector<char> arrived;
    std::vector<Target> targets;
    std::map<std::int64_t, Path> paths;  ///< by step where peers change, else by 0
  };
  struct RankState {
    int rank = 0, member = 0;
    const Schedule* schedule = nullptr;
    std::vector<LaneState> lanes;
  };

  void seat(int index) {
    RankState state;
    state.rank = classes_.ranks()[at(index)];
    state.member = classes_.member(state.rank);
    state.schedule = &classes_.schedule(state.rank);
    state.lanes.resize(at(state.schedule->lanes(state.member)));
    for (std::size_t l = 0; l < state.lanes.size(); ++l)
      state.lanes[l].total = state.schedule->steps(state.member, static_cast<int>(l));
    ranks_.push_back(std::move(state));
  }

  /// Whose messages this rank's lanes wait for, by the classes of its real senders.
  void find_senders(int index) {
    const RankState& me = ranks_[at(index)];
    for (std::size_t l = 0; l < me.lanes.size(); ++l) {
      const bool varies = changes_peers(*me.schedule);
      const std::int64_t steps = varies ? me.lanes[l].total : std::min<std::int64_t>(1, me.lanes[l].total);
      for (std::int64_t k = 0; k < steps; ++k) {
        const ScheduleStep step = me.schedule->step(me.member, static_cast<int>(l), k);
        if (step.receive_from < 0) continue;
        const int sender = classes_.peer(me.rank, step.receive_from);
        find_lane(index, static_cast<int>(l), varies ? k : -1, sender);
      }
    }
  }

  void find_lane(int index, int lane, std::int64_t step, int sender) {
    const Schedule& s = classes_.schedule(sender);
    const int member = classes_.member(sender);
    for (int l = 0; l < s.lanes(member); ++l) {
      const std::int64_t steps = step < 0 ? std::min<std::int64_t>(1, s.steps(member, l)) : s.steps(member, l);
      for (std::int64_t k = 0; k < steps; ++k) {
        const ScheduleStep theirs = s.step(member, l, k);
        if (theirs.send_to != ranks_[at(index)].member || theirs.send_lane != lane || (step >= 0 && theirs.send_step != step))
          continue;
        LaneState& from = ranks_[at(classes_.class_of(sender))].lanes[at(l)];
        from.targets.push_back({index, lane, step < 0 ? -1 : k, step, settings_.gpu_of_rank[at(sender)]});
        return;
      }
    }
    throw InternalError("a message that nobody sends");
  }

  std::int32_t compact(std::int32_t link) {
    const auto [it, fresh] = number_.emplace(link, static_cast<std::int32_t>(links_.size()));
    if (fresh) links_.push_back({"", fabric_.links()[at(link)].capacity, Time::zero()});
    return it->second;
  }

  void cross(Path& path, std::int32_t link) {
    const std::int32_t l = compact(link);
    const auto it = std::find(path.links.begin(), path.links.end(), l);
    if (it == path.links.end()) {
      path.links.push_back(l);
      path.counts.push_back(1);
    } else {
      ++path.counts[at(it - path.links.begin())];
    }
  }

  Path path_of(const RankState& me, int index, int lane, std::int64_t step, int to_member) {
    const int from = settings_.gpu_of_rank[at(me.rank)], to = settings_.gpu_of_rank[at(classes_.peer(me.rank, to_member))];
    const int node = from / settings_.gpus_per_node;
    const bool inside = node == to / settings_.gpus_per_node;
    const Route& route = fabric_.route(from, to);
    MessageCost cost = message_cost(settings_.library, protocol_, tree_, route, settings_.gpudirect);
    Path path;
    for (std::int32_t l : route.links) {
      if (inside || fabric_.node_of(l) == node) cross(path, l);
    }
    if (!inside) {
      const Hop& hop = hops_.of(index, lane, step);
      const bool ring = is_ring(*me.schedule);
      const Time mean = Time::seconds(hop.latency_sum / static_cast<double>(hop.count));
      cost.latency += (ring ? mean : hop.longest) - route.latency;
      cost.cap = std::min(cost.cap, hop.share);
      for (const Target& t : me.lanes[at(lane)].targets) {
        if (t.at_step >= 0 && t.at_step != step) continue;
        const int receiver = settings_.gpu_of_rank[at(ranks_[at(t.rank)].rank)];
        const Route& in = fabric_.route(t.sender, receiver);
        for (std::int32_t l : in.links) {
          if (fabric_.node_of(l) == receiver / settings_.gpus_per_node) cross(path, l);
        }
      }
    }
    path.latency = cost.latency;
    path.cap = cost.cap;
    return path;
  }

  /// Steps [first, first + count) of every lane (count < 0: all of them) from a common start; returns the last end.
  Time window(std::int64_t first, std::int64_t count) {
    first_ = first;
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      RankState& r = ranks_[i];
      for (std::size_t l = 0; l < r.lanes.size(); ++l) {
        LaneState& lane = r.lanes[l];
        lane.step = 0;
        lane.begun = lane.sending = lane.combining = lane.combined = false;
        const std::int64_t steps = r.schedule->steps(r.member, static_cast<int>(l));
        lane.total = count < 0 ? steps : std::min(count, steps - first);
        lane.arrived.assign(at(lane.total), 0);
        if (lane.paths.empty()) make_paths(r, static_cast<int>(i), static_cast<int>(l));
      }
    }
    EventQueue queue;
    Network network(queue, links_, kFlow);
    queue_ = &queue;
    network_ = &network;
    messages_.clear();
    Time end;
    for (std::size_t i = 0; i < ranks_.size(); ++i) advance(static_cast<int>(i));
    while (!queue.empty()) {
      const Event event = queue.pop();
      bool moved = true;
      if (event.kind == kFlow) {
        std::uint64_t token = 0;
        moved = network.finish(event, token);
        if (moved) sent(token);
      } else if (event.kind == kArrival) {
        arrive(event.b);
      } else {
        LaneState& lane = ranks_[event.a].lanes[event.b];
        lane.combining = false;
        lane.combined = true;
        advance(static_cast<int>(event.a));
      }
      if (moved) end = queue.now();
    }
    for (const RankState& r : ranks_) {
      for (const LaneState& lane : r.lanes) {
        if (lane.step != lane.total) throw InternalError("a folded phase stands still");
      }
    }
    return end;
  }

  void make_paths(RankState& r, int index, int l) {
    LaneState& lane = r.lanes[at(l)];
    const std::int64_t all = r.schedule->steps(r.member, l);
    const std::int64_t steps = changes_peers(*r.schedule) ? all : std::min<std::int64_t>(1, all);
    for (std::int64_t k = 0; k < steps; ++k) {
      const ScheduleStep step = r.schedule->step(r.member, l, k);
      if (step.send_to >= 0) lane.paths.emplace(k, path_of(r, index, l, k, step.send_to));
    }
  }

  /// The time of `steps` alike steps of a ring, beginning with `first`.
  Time stretch(std::int64_t first, std::int64_t steps) {
    const auto& ring = std::get<RingSchedule>(classes_.schedule(classes_.ranks().front()).variant());
    const std::int64_t round = std::min<std::int64_t>(ring.members, std::max(4, settings_.gpus_per_node));
    if (steps <= kLastRounds * round) return window(first, steps);
    const Time a = window(first, kFirstRounds * round), b = window(first, kLastRounds * round);
    return b + (b - a) * (static_cast<double>(steps - kLastRounds * round) / static_cast<double>((kLastRounds - kFirstRounds) * round));
  }

  struct Message {
    int rank = 0, lane = 0;
    std::int64_t step = 0;
  };

  const Path& path(const LaneState& lane, std::int64_t step) const {
    return lane.paths.size() == 1 ? lane.paths.begin()->second : lane.paths.at(step);
  }

  void advance(int index) {
    RankState& r = ranks_[at(index)];
    for (bool again = true; again;) {
      again = false;
      for (std::size_t l = 0; l < r.lanes.size(); ++l) again = advance(index, r, static_cast<int>(l)) || again;
    }
  }

  bool advance(int index, RankState& r, int l) {
    LaneState& lane = r.lanes[at(l)];
    bool progressed = false;
    while (lane.step < lane.total) {
      if (!lane.begun && !begin(index, r, l)) break;
      if (lane.receive >= 0 && !combine(index, l, lane)) break;
      if (lane.sending) break;
      ++lane.step;
      lane.begun = false;
      progressed = true;
    }
    return progressed;
  }

  bool begin(int index, RankState& r, int l) {
    LaneState& lane = r.lanes[at(l)];
    const std::int64_t k = first_ + lane.step;
    const ScheduleStep step = r.schedule->step(r.member, l, k);
    for (const auto& wait : step.waits) {
      if (wait.lane >= 0 && r.lanes[at(wait.lane)].step < wait.steps) return false;
    }
    lane.begun = true;
    lane.combined = lane.combining = false;
    lane.receive = step.receive_from >= 0 ? step.receive.length : -1;
    lane.reduce = step.reduce;
    if (step.send_to < 0) return true;
    lane.sending = true;
    double elements = static_cast<double>(step.send.length);
    if (is_ring(*r.schedule)) {
      const auto& ring = std::get<RingSchedule>(r.schedule->variant());
      elements = static_cast<double>(ring.buffer.length) / ring.members / ring.orders.channels();
    }
    const Path& p = path(lane, k);
    messages_.push_back({index, l, lane.step});
    network_->start(p.links, elements * plan_.element_bytes / protocol_.efficiency, p.cap, messages_.size() - 1, p.counts);
    return true;
  }

  bool combine(int index, int l, LaneState& lane) {
    if (lane.combined) return true;
    if (lane.combining || !lane.arrived[at(lane.step)]) return false;
    const Bandwidth reduce = settings_.library.reduce.value;
    if (lane.reduce && reduce.bytes_per_second() > 0 && lane.receive > 0) {
      lane.combining = true;
      queue_->push(queue_->now() + Bytes(lane.receive * plan_.element_bytes) / reduce, kCombined,
                   static_cast<std::uint32_t>(index), static_cast<std::uint64_t>(l));
      return false;
    }
    lane.combined = true;
    return true;
  }

  void sent(std::uint64_t token) {
    const Message m = messages_[token];
    LaneState& lane = ranks_[at(m.rank)].lanes[at(m.lane)];
    queue_->push(queue_->now() + path(lane, first_ + m.step).latency, kArrival, 0, token);
    lane.sending = false;
    advance(m.rank);
  }

  void arrive(std::uint64_t token) {
    const Message m = messages_[token];
    for (const Target& t : ranks_[at(m.rank)].lanes[at(m.lane)].targets) {
      if (t.at_step >= 0 && t.at_step != m.step) continue;
      ranks_[at(t.rank)].lanes[at(t.lane)].arrived[at(t.step < 0 ? m.step : t.step)] = 1;
      advance(t.rank);
    }
  }

  Fabric& fabric_;
  const EngineSettings& settings_;
  const CollectivePlan& plan_;
  const ProtocolSpec& protocol_;
  bool tree_;
  Classes classes_;
  Hops hops_;
  std::vector<RankState> ranks_;
  std::vector<Link> links_;
  std::unordered_map<std::int32_t, std::int32_t> number_;
  std::vector<Message> messages_;
  EventQueue* queue_ = nullptr;
  Network* network_ = nullptr;
  std::int64_t first_ = 0;
};

/// Halving and doubling: all ranks, but no events. A message of step k gets on each link the share that it would have if all ranks
/// sent in their step k at the same time.
Time exchange_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   const ProtocolSpec& protocol) {
  struct Sender {
    const Schedule* schedule = nullptr;
    int member = 0;
    std::int64_t step = 0, steps = 0, first = 0;
    bool begun = false;
    Time start, sent;
  };
  const int world = plan.grid.size();
  std::vector<Schedule> schedules;
  std::vector<int> of_column(at(plan.grid.x), -1);
  std::vector<Sender> senders(at(world));
  std::int64_t cells = 0, longest = 0;
  for (int r = 0; r < world; ++r) {
    const int column = phase.group == Group::Column ? r % plan.grid.x : 0;
    if (plan.takes_part(phase, Rank(r)) && of_column[at(column)] < 0) {
      of_column[at(column)] = static_cast<int>(schedules.size());
      schedules.push_back(plan.schedule(phase, Rank(r)));
    }
  }
  for (int r = 0; r < world; ++r) {
    if (!plan.takes_part(phase, Rank(r))) continue;
    Sender& s = senders[at(r)];
    s.schedule = &schedules[at(of_column[at(phase.group == Group::Column ? r % plan.grid.x : 0)])];
    s.member = plan.member(phase, Rank(r));
    s.steps = s.schedule->steps(s.member, 0);
    s.first = cells;
    cells += s.steps;
    longest = std::max(longest, s.steps);
  }
  struct Way {
    std::span<const std::int32_t> links;
    MessageCost cost;
  };
  std::vector<Way> ways(at(cells));
  std::vector<Time> arrivals(at(cells), Time::never());
  std::vector<std::int32_t> load(fabric.links().size());
  for (std::int64_t k = 0; k < longest; ++k) {
    std::fill(load.begin(), load.end(), 0);
    for (int r = 0; r < world; ++r) {
      const Sender& s = senders[at(r)];
      if (k >= s.steps) continue;
      const ScheduleStep step = s.schedule->step(s.member, 0, k);
      if (step.send_to < 0) continue;
      const Route& route = fabric.route(settings.gpu_of_rank[at(r)],
                                        settings.gpu_of_rank[at(plan.rank(phase, Rank(r), step.send_to).value)]);
      Way& way = ways[at(s.first + k)];
      way.links = route.links;
      way.cost = message_cost(settings.library, protocol, false, route, settings.gpudirect);
      for (std::int32_t l : route.links) ++load[at(l)];
    }
    for (int r = 0; r < world; ++r) {
      const Sender& s = senders[at(r)];
      if (k >= s.steps) continue;
      Way& way = ways[at(s.first + k)];
      for (std::int32_t l : way.links) way.cost.cap = std::min(way.cost.cap, fabric.links()[at(l)].capacity / load[at(l)]);
    }
  }
  const Bandwidth reduce = settings.library.reduce.value;
  Time end;
  for (bool moved = true; moved;) {
    moved = false;
    for (int r = 0; r < world; ++r) {
      Sender& s = senders[at(r)];
      while (s.step < s.steps) {
        const ScheduleStep step = s.schedule->step(s.member, 0, s.step);
        if (!s.begun) {
          s.begun = moved = true;
          s.sent = s.start;
          if (step.send_to >= 0) {
            const Way& way = ways[at(s.first + s.step)];
            const double bytes = static_cast<double>(step.send.length * plan.element_bytes) / protocol.efficiency;
            s.sent += Time::seconds(bytes / way.cost.cap.bytes_per_second());
            const Sender& to = senders[at(plan.rank(phase, Rank(r), step.send_to).value)];
            arrivals[at(to.first + step.send_step)] = s.sent + way.cost.latency;
          }
        }
        Time done = s.sent;
        if (step.receive_from >= 0) {
          const Time arrival = arrivals[at(s.first + s.step)];
          if (arrival == Time::never()) break;
          Time combined = std::max(s.start, arrival);
          if (step.reduce && reduce.bytes_per_second() > 0 && step.receive.length > 0)
            combined += Bytes(step.receive.length * plan.element_bytes) / reduce;
          done = std::max(done, combined);
        }
        s.start = done;
        s.begun = false;
        ++s.step;
        moved = true;
        end = std::max(end, done);
      }
    }
  }
  for (const Sender& s : senders) LOCKSTEP_EXPECTS(s.step == s.steps);
  return end;
}

}  // namespace

Time folded_phase_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                       int protocol) {
  if (phase.algorithm == PhaseAlgorithm::HalvingDoubling)
    return exchange_time(fabric, settings, plan, phase, settings.library.protocols[at(protocol)]);
  return PhaseSimulation(fabric, settings, plan, phase, protocol).run();
}

Time folded_collective_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, int protocol) {
  if (count(plan).messages <= kWholeMessages) return bare_collective_time(fabric, settings, plan, protocol);
  const ProtocolSpec& p = settings.library.protocols[at(protocol)];
  Time total;
  for (const Phase& phase : plan.phases) {
    total += phase.algorithm == PhaseAlgorithm::Tree ? p.tree_base : p.ring_base;
    total += folded_phase_time(fabric, settings, plan, phase, protocol);
  }
  return total;
}

}  // namespace lockstep::sim
