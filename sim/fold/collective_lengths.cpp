#include "sim/fold/collective_lengths.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <variant>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

namespace {

constexpr std::int64_t kWholeMessages = 2000;       // a collective of no more is simulated whole
constexpr int kFirstRounds = 16, kLastRounds = 48;  // of a node: the stretch whose steps are prolonged

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

bool is_ring(const Schedule& schedule) {
  const auto* ring = std::get_if<RingSchedule>(&schedule.variant());
  return ring && ring->op != CollectiveOp::Reduce && ring->op != CollectiveOp::Broadcast;
}

/// The schedules of a phase's groups, by rank; groups differ in lengths only.
class GroupSchedules {
 public:
  GroupSchedules(const CollectivePlan& plan, const Phase& phase) : plan_(plan), phase_(phase) {
    const int groups = phase.group == Group::Column ? plan.grid.x : 1;
    for (int g = 0; g < groups; ++g) schedules_.push_back(plan.schedule(phase, Rank(g)));
  }
  bool takes_part(int rank) const { return plan_.takes_part(phase_, Rank(rank)); }
  const Schedule& of(int rank) const { return schedules_[at(schedules_.size() > 1 ? rank % plan_.grid.x : 0)]; }
  int member(int rank) const { return plan_.member(phase_, Rank(rank)); }
  int peer(int rank, int member) const { return plan_.rank(phase_, Rank(rank), member).value; }

 private:
  const CollectivePlan& plan_;
  const Phase& phase_;
  std::vector<Schedule> schedules_;
};

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
  }
  return d.value();
}

/// What the messages of a lane meet between nodes, over all ranks of a class.
struct Hop {
  Time longest;
  double latency_sum = 0;
  std::int64_t count = 0;
  std::vector<std::pair<std::int32_t, std::int32_t>> cables;  ///< watched ones, with the messages of this lane on each
};

/// Who stands for whom in a phase, and what its messages meet: whatever their lengths.
struct Traffic {
  std::vector<int> ranks;              ///< that stand for their classes
  std::vector<int> class_of;           ///< by rank: index into `ranks`; -1: takes no part
  std::vector<std::vector<Hop>> hops;  ///< by class and lane
};

/// Fills ranks and class_of: nodes whose ranks have equal places are one class, the first of them stands for it.
void classify(Traffic& traffic, const EngineSettings& settings, const GroupSchedules& groups, int world) {
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
  const auto each = [&](auto&& visit) {
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
        if (from / settings.gpus_per_node != to / settings.gpus_per_node)
          visit(traffic.hops[at(c)][l], fabric.route(from, to));
      }
    }
  };
  std::int32_t first_cable = static_cast<std::int32_t>(fabric.links().size());
  while (first_cable > 0 && fabric.node_of(first_cable - 1) < 0) --first_cable;
  std::vector<std::int32_t> load(fabric.links().size() - at(first_cable));
  each([&](Hop& hop, const Route& route) {
    hop.longest = std::max(hop.longest, route.latency);
    hop.latency_sum += route.latency.seconds();
    ++hop.count;
    for (std::int32_t l : route.links) {
      if (l >= first_cable) ++load[at(l - first_cable)];
    }
  });
  if (load.empty()) return;
  std::unordered_map<const Hop*, std::int32_t> worst;
  const auto crowding = [&](std::int32_t l) {
    return load[at(l - first_cable)] / fabric.links()[at(l)].capacity.bytes_per_second();
  };
  each([&](Hop& hop, const Route& route) {
    for (std::int32_t l : route.links) {
      if (l < first_cable) continue;
      const auto [it, fresh] = worst.emplace(&hop, l);
      if (crowding(l) > crowding(it->second)) it->second = l;
    }
  });
  std::vector<char> watched(load.size(), 0);
  for (const auto& [hop, l] : worst) watched[at(l - first_cable)] = 1;
  each([&](Hop& hop, const Route& route) {
    for (std::int32_t l : route.links) {
      if (l < first_cable || !watched[at(l - first_cable)]) continue;
      const auto it = std::find_if(hop.cables.begin(), hop.cables.end(), [l](const auto& c) { return c.first == l; });
      if (it == hop.cables.end())
        hop.cables.emplace_back(l, 1);
      else
        ++it->second;
    }
  });
}

Traffic traffic_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase) {
  const GroupSchedules groups(plan, phase);
  Traffic traffic;
  classify(traffic, settings, groups, plan.grid.size());
  survey(traffic, fabric, settings, groups, plan.grid.size());
  return traffic;
}

/// The ranks that stand for all, lane by lane, on the links of their nodes.
class PhaseSimulation {
 public:
  PhaseSimulation(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                  int protocol, const Traffic& traffic)
      : fabric_(fabric),
        settings_(settings),
        plan_(plan),
        protocol_(settings.library.protocols[at(protocol)]),
        phase_(phase),
        groups_(plan, phase),
        traffic_(traffic) {
    for (int rank : traffic.ranks) seat(rank);
    for (std::size_t i = 0; i < ranks_.size(); ++i) find_senders(static_cast<int>(i));
    for (std::size_t i = 0; i < ranks_.size(); ++i) find_paths(static_cast<int>(i));
  }

  Time run() {
    const Schedule& s = groups_.of(traffic_.ranks.front());
    if (!is_ring(s)) return window(0, -1);
    const auto& ring = std::get<RingSchedule>(s.variant());
    const std::int64_t hops = ring.members - 1;
    const auto loops = static_cast<double>(ring.loops);
    const bool adds = settings_.library.reduce.value.bytes_per_second() > 0;
    if (ring.op == CollectiveOp::Allreduce && adds) return (stretch(0, hops) + stretch(hops, hops)) * loops;
    return stretch(0, ring.op == CollectiveOp::Allreduce ? 2 * hops : hops) * loops;
  }

 private:
  static constexpr std::uint32_t kFlow = 0, kArrival = 1, kCombined = 2;

  /// Where the messages of a lane arrive.
  struct Target {
    int rank = 0, lane = 0;
    int sender = 0;  ///< the real one's GPU, whose way into the receiver's node it takes
  };
  struct LaneState {
    std::int64_t step = 0, total = 0, steps = 0;  ///< steps: of the whole schedule
    bool begun = false, sending = false, combining = false, combined = false, reduce = false;
    std::int64_t receive = -1;
    std::vector<char> arrived;
    std::vector<Target> targets;
    std::vector<std::int32_t> links, counts;
    Time latency;
    Bandwidth cap;
    double efficiency = 1;
  };
  struct RankState {
    int rank = 0, member = 0;
    const Schedule* schedule = nullptr;
    std::vector<LaneState> lanes;
  };

  void seat(int rank) {
    RankState state{rank, groups_.member(rank), &groups_.of(rank), {}};
    state.lanes.resize(at(state.schedule->lanes(state.member)));
    for (std::size_t l = 0; l < state.lanes.size(); ++l)
      state.lanes[l].steps = state.schedule->steps(state.member, static_cast<int>(l));
    ranks_.push_back(std::move(state));
  }

  /// Whose messages this rank's lanes wait for, by the classes of its real senders. A lane has one peer in all its steps.
  void find_senders(int index) {
    const RankState& me = ranks_[at(index)];
    for (std::size_t l = 0; l < me.lanes.size(); ++l) {
      if (me.lanes[l].steps == 0) continue;
      const ScheduleStep step = me.schedule->step(me.member, static_cast<int>(l), 0);
      if (step.receive_from < 0) continue;
      const int sender = groups_.peer(me.rank, step.receive_from);
      LaneState& from =
          ranks_[at(traffic_.class_of[at(sender)])].lanes[at(lane_to(sender, me.member, static_cast<int>(l)))];
      from.targets.push_back({index, static_cast<int>(l), settings_.gpu_of_rank[at(sender)]});
    }
  }

  int lane_to(int sender, int receiver, int lane) const {
    const Schedule& s = groups_.of(sender);
    const int member = groups_.member(sender);
    for (int l = 0; l < s.lanes(member); ++l) {
      if (s.steps(member, l) == 0) continue;
      const ScheduleStep theirs = s.step(member, l, 0);
      if (theirs.send_to == receiver && theirs.send_lane == lane) return l;
    }
    throw InternalError("a message that nobody sends");
  }

  std::int32_t compact(std::int32_t link) {
    const auto [it, fresh] = number_.emplace(link, static_cast<std::int32_t>(links_.size()));
    if (fresh) links_.push_back({"", fabric_.links()[at(link)].capacity, Time::zero()});
    return it->second;
  }

  void cross(LaneState& lane, std::int32_t link, std::int32_t count = 1) {
    const std::int32_t l = compact(link);
    const auto it = std::find(lane.links.begin(), lane.links.end(), l);
    if (it == lane.links.end()) {
      lane.links.push_back(l);
      lane.counts.push_back(count);
    } else {
      lane.counts[at(it - lane.links.begin())] += count;
    }
  }

  void find_paths(int index) {
    RankState& me = ranks_[at(index)];
    for (std::size_t l = 0; l < me.lanes.size(); ++l) {
      if (me.lanes[l].steps == 0) continue;
      const ScheduleStep step = me.schedule->step(me.member, static_cast<int>(l), 0);
      if (step.send_to >= 0)
        find_path(me, me.lanes[l], traffic_.hops[at(index)][l], groups_.peer(me.rank, step.send_to));
    }
  }

  void find_path(const RankState& me, LaneState& lane, const Hop& hop, int to_rank) {
    const int from = settings_.gpu_of_rank[at(me.rank)], to = settings_.gpu_of_rank[at(to_rank)];
    const int node = from / settings_.gpus_per_node;
    const bool inside = node == to / settings_.gpus_per_node;
    const Route route = fabric_.route(from, to);
    const MessageCost cost = message_cost(settings_.library, protocol_, phase_, route, settings_.gpudirect);
    lane.latency = cost.latency;
    lane.cap = cost.cap;
    lane.efficiency = cost.efficiency;
    for (std::int32_t l : route.links) {
      if (inside || fabric_.node_of(l) == node) cross(lane, l);
    }
    if (inside) return;
    const Time mean = Time::seconds(hop.latency_sum / static_cast<double>(hop.count));
    lane.latency += (is_ring(*me.schedule) ? mean : hop.longest) - route.latency;
    for (const auto& [cable, count] : hop.cables) cross(lane, cable, count);
    for (const Target& t : lane.targets) {
      const int receiver = settings_.gpu_of_rank[at(ranks_[at(t.rank)].rank)];
      for (std::int32_t l : fabric_.route(t.sender, receiver).links) {
        if (fabric_.node_of(l) == receiver / settings_.gpus_per_node) cross(lane, l);
      }
    }
  }

  /// Steps [first, first + count) of every lane (count < 0: all of them) from a common start; returns the last end.
  Time window(std::int64_t first, std::int64_t count) {
    first_ = first;
    for (RankState& r : ranks_) {
      for (LaneState& lane : r.lanes) {
        lane.step = 0;
        lane.begun = lane.sending = lane.combining = lane.combined = false;
        lane.total = count < 0 ? lane.steps : std::min(count, lane.steps - first);
        lane.arrived.assign(at(lane.total), 0);
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

  /// The time of `steps` alike steps of a ring, beginning with `first`.
  Time stretch(std::int64_t first, std::int64_t steps) {
    const auto& ring = std::get<RingSchedule>(groups_.of(traffic_.ranks.front()).variant());
    const std::int64_t round = std::min<std::int64_t>(ring.members, std::max(4, settings_.gpus_per_node));
    if (steps <= kLastRounds * round) return window(first, steps);
    const Time a = window(first, kFirstRounds * round), b = window(first, kLastRounds * round);
    return b + (b - a) * (static_cast<double>(steps - kLastRounds * round) /
                          static_cast<double>((kLastRounds - kFirstRounds) * round));
  }

  struct Message {
    int rank = 0, lane = 0;
    std::int64_t step = 0;
  };

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
      elements = static_cast<double>(ring.buffer.length) / static_cast<double>(ring.loops) / ring.members /
                 ring.orders.channels();
    }
    messages_.push_back({index, l, lane.step});
    network_->start(lane.links, elements * plan_.element_bytes / lane.efficiency, lane.cap, messages_.size() - 1,
                    lane.counts);
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
    queue_->push(queue_->now() + lane.latency, kArrival, 0, token);
    lane.sending = false;
    advance(m.rank);
  }

  void arrive(std::uint64_t token) {
    const Message m = messages_[token];
    for (const Target& t : ranks_[at(m.rank)].lanes[at(m.lane)].targets) {
      ranks_[at(t.rank)].lanes[at(t.lane)].arrived[at(m.step)] = 1;
      advance(t.rank);
    }
  }

  Fabric& fabric_;
  const EngineSettings& settings_;
  const CollectivePlan& plan_;
  const ProtocolSpec& protocol_;
  const Phase& phase_;
  GroupSchedules groups_;
  const Traffic& traffic_;
  std::vector<RankState> ranks_;
  std::vector<Link> links_;
  std::unordered_map<std::int32_t, std::int32_t> number_;
  std::vector<Message> messages_;
  EventQueue* queue_ = nullptr;
  Network* network_ = nullptr;
  std::int64_t first_ = 0;
};

/// How the messages of halving and doubling travel, by rank and step: whatever their lengths.
struct Exchanges {
  std::vector<std::int64_t> first;  ///< by rank: its first entry in `costs`; size world + 1
  std::vector<MessageCost>
      costs;  ///< cap: also the share on each link, if all ranks sent their step of that number at once
};

Exchanges exchanges_of(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                       const ProtocolSpec& protocol) {
  const GroupSchedules groups(plan, phase);
  const int world = plan.grid.size();
  Exchanges e;
  std::int64_t longest = 0;
  for (int r = 0; r < world; ++r) {
    const std::int64_t steps = groups.takes_part(r) ? groups.of(r).steps(groups.member(r), 0) : 0;
    e.first.push_back(static_cast<std::int64_t>(e.costs.size()));
    e.costs.resize(e.costs.size() + at(steps));
    longest = std::max(longest, steps);
  }
  e.first.push_back(static_cast<std::int64_t>(e.costs.size()));
  std::vector<std::int32_t> load(fabric.links().size());
  std::vector<std::span<const std::int32_t>> links(at(world));
  for (std::int64_t k = 0; k < longest; ++k) {
    std::fill(load.begin(), load.end(), 0);
    for (int r = 0; r < world; ++r) {
      links[at(r)] = {};
      if (k >= e.first[at(r) + 1] - e.first[at(r)]) continue;
      const ScheduleStep step = groups.of(r).step(groups.member(r), 0, k);
      if (step.send_to < 0) continue;
      const Route& route =
          fabric.route(settings.gpu_of_rank[at(r)], settings.gpu_of_rank[at(groups.peer(r, step.send_to))]);
      e.costs[at(e.first[at(r)] + k)] = message_cost(settings.library, protocol, phase, route, settings.gpudirect);
      links[at(r)] = route.links;
      for (std::int32_t l : route.links) ++load[at(l)];
    }
    for (int r = 0; r < world; ++r) {
      for (std::int32_t l : links[at(r)]) {
        Bandwidth& cap = e.costs[at(e.first[at(r)] + k)].cap;
        cap = std::min(cap, fabric.links()[at(l)].capacity / load[at(l)]);
      }
    }
  }
  return e;
}

/// Halving and doubling: all ranks, but no events; when each step of each rank ends, from the steps before.
Time exchange_time(const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                   const Exchanges& exchanges) {
  struct Sender {
    std::int64_t step = 0;
    bool begun = false;
    Time start, sent;
  };
  const GroupSchedules groups(plan, phase);
  const int world = plan.grid.size();
  std::vector<Sender> senders(at(world));
  std::vector<Time> arrivals(exchanges.costs.size(), Time::never());
  const Bandwidth reduce = settings.library.reduce.value;
  Time end;
  for (bool moved = true; moved;) {
    moved = false;
    for (int r = 0; r < world; ++r) {
      Sender& s = senders[at(r)];
      const std::int64_t first = exchanges.first[at(r)], steps = exchanges.first[at(r) + 1] - first;
      while (s.step < steps) {
        const ScheduleStep step = groups.of(r).step(groups.member(r), 0, s.step);
        if (!s.begun) {
          s.begun = moved = true;
          s.sent = s.start;
          if (step.send_to >= 0) {
            const MessageCost& cost = exchanges.costs[at(first + s.step)];
            const double bytes = static_cast<double>(step.send.length * plan.element_bytes) / cost.efficiency;
            if (bytes > 0) s.sent += Time::seconds(bytes / cost.cap.bytes_per_second());
            arrivals[at(exchanges.first[at(groups.peer(r, step.send_to))] + step.send_step)] = s.sent + cost.latency;
          }
        }
        Time done = s.sent;
        if (step.receive_from >= 0) {
          const Time arrival = arrivals[at(first + s.step)];
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
  for (int r = 0; r < world; ++r)
    LOCKSTEP_EXPECTS(senders[at(r)].step == exchanges.first[at(r) + 1] - exchanges.first[at(r)]);
  return end;
}

}  // namespace

struct CollectiveLengths::Impl {
  Fabric& fabric;
  const EngineSettings& settings;
  std::map<std::string, Traffic> traffic;
  std::map<std::string, Exchanges> exchanges;

  Time phase(const CollectivePlan& plan, const Phase& phase, int protocol) {
    const std::string key = phase.name() + " " + std::to_string(plan.grid.x) + " " + std::to_string(protocol);
    if (phase.algorithm == PhaseAlgorithm::HalvingDoubling) {
      const ProtocolSpec& p = settings.library.protocols[at(protocol)];
      auto it = exchanges.find(key);
      if (it == exchanges.end()) it = exchanges.emplace(key, exchanges_of(fabric, settings, plan, phase, p)).first;
      return exchange_time(settings, plan, phase, it->second);
    }
    auto it = traffic.find(key);
    if (it == traffic.end()) it = traffic.emplace(key, traffic_of(fabric, settings, plan, phase)).first;
    return PhaseSimulation(fabric, settings, plan, phase, protocol, it->second).run();
  }
};

CollectiveLengths::CollectiveLengths(Fabric& fabric, const EngineSettings& settings)
    : impl_(std::make_unique<Impl>(Impl{fabric, settings, {}, {}})) {}
CollectiveLengths::~CollectiveLengths() = default;

Time CollectiveLengths::phase(const CollectivePlan& plan, const Phase& phase, int protocol) {
  return impl_->phase(plan, phase, protocol);
}

Time CollectiveLengths::of(const CollectivePlan& plan, int protocol) {
  Impl& i = *impl_;
  if (count(plan).messages <= kWholeMessages) return bare_collective_time(i.fabric, i.settings, plan, protocol);
  const ProtocolSpec& p = i.settings.library.protocols[at(protocol)];
  Time total;
  for (const Phase& phase : plan.phases) {
    total += phase.algorithm == PhaseAlgorithm::Tree ? p.tree_base : p.ring_base;
    total += i.phase(plan, phase, protocol);
  }
  return total;
}

}  // namespace lockstep::sim
