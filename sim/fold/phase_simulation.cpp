#include "sim/fold/phase_simulation.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <variant>

#include "core/base/error.hpp"
#include "sim/fold/group_schedules.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

namespace {

constexpr int kFirstRounds = 16, kLastRounds = 48;  // of a node: the stretch whose steps are prolonged

/// The ranks that stand for all, lane by lane, on the links of their nodes.
class PhaseSimulation {
 public:
  PhaseSimulation(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                  int protocol, const Traffic& traffic, const Leads& leads)
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
    if (!leads.empty() && !is_ring(groups_.of(traffic.ranks.front()))) find_entries(leads);
  }

  Time run() {
    const Schedule& s = groups_.of(traffic_.ranks.front());
    if (!is_ring(s)) return window(0, -1) - last_entry_;
    const auto& ring = std::get<RingSchedule>(s.variant());
    const std::int64_t hops = ring.members - 1;
    const auto loops = static_cast<double>(ring.loops);
    const bool adds = settings_.library.reduce.value.bytes_per_second() > 0;
    if (ring.op == CollectiveOp::Allreduce && adds) return (stretch(0, hops) + stretch(hops, hops)) * loops;
    return stretch(0, ring.op == CollectiveOp::Allreduce ? 2 * hops : hops) * loops;
  }

 private:
  static constexpr std::uint32_t kFlow = 0, kArrival = 1, kCombined = 2, kEntry = 3;

  /// Where the messages of a lane arrive.
  struct Target {
    int rank = 0, lane = 0;
    int sender = 0;  ///< the real one's GPU, whose way into the receiver's node it takes
    int turn = 0;    ///< of the senders of that lane
  };
  struct Lane {
    std::int32_t step = 0, total = 0;
    std::int32_t arrived = 0;  ///< messages; they come in the order of their steps, or end at their receiver
    bool begun = false, sending = false, combining = false, combined = false, reduce = false;
    std::int32_t blocked_on = -1;  ///< the lane of its rank that its step is known to wait for; -1: none
    std::int32_t blocked_until = 0;
    std::int64_t receive = -1;
  };
  /// How the messages of a lane travel.
  struct Way {
    std::int64_t steps = 0;  ///< of the whole schedule
    std::vector<Target> targets;
    std::vector<std::int32_t> links, counts;
    Time latency;
    Bandwidth cap;
    double efficiency = 1;
    Bandwidth copy_out = Bandwidth::unlimited();
    std::vector<std::int32_t> came;  ///< to this lane, by turn, if it has several senders: messages
  };
  struct RankState {
    int rank = 0, member = 0;
    const Schedule* schedule = nullptr;
    std::vector<Lane> lanes;
    std::vector<Way> ways;  ///< by lane
    int coupled = 0;        ///< lanes that wait for each other stand in blocks of so many; 0: none waits
    Time entry;
    bool entered = false;
  };

  void seat(int rank) {
    RankState state{rank, groups_.member(rank), &groups_.of(rank), {}, {}, 0, {}};
    state.coupled = state.schedule->coupled_lanes();
    state.lanes.resize(at(state.schedule->lanes(state.member)));
    state.ways.resize(state.lanes.size());
    for (int l = 0; l < static_cast<int>(state.ways.size()); ++l) {
      state.ways[at(l)].steps = state.schedule->steps(state.member, l);
      if (const int senders = state.schedule->senders(l); senders > 1) state.ways[at(l)].came.resize(at(senders));
    }
    ranks_.push_back(std::move(state));
  }

  /// Whose messages this rank's lanes wait for, by the classes of its real senders. A lane has the same peers in all its steps.
  void find_senders(int index) {
    const RankState& me = ranks_[at(index)];
    for (int l = 0; l < static_cast<int>(me.ways.size()); ++l) {
      if (me.ways[at(l)].steps == 0) continue;
      for (int turn = 0; turn < me.schedule->senders(l); ++turn) {
        const int member = me.schedule->step(me.member, l, turn).receive_from;
        if (member < 0) break;
        const int sender = groups_.peer(me.rank, member);
        Way& from = ranks_[at(traffic_.class_of[at(sender)])].ways[at(lane_to(sender, me.member, l))];
        from.targets.push_back({index, l, settings_.gpu_of_rank[at(sender)], turn});
      }
    }
  }

  int lane_to(int sender, int receiver, int lane) const {
    const Schedule& s = groups_.of(sender);
    const int member = groups_.member(sender);
    const int coupled = std::max(1, s.coupled_lanes()), first = lane / coupled * coupled;
    for (int l = first; l < first + coupled; ++l) {
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

  void cross(Way& way, std::int32_t link, std::int32_t count = 1) {
    const std::int32_t l = compact(link);
    const auto it = std::find(way.links.begin(), way.links.end(), l);
    if (it == way.links.end()) {
      way.links.push_back(l);
      way.counts.push_back(count);
    } else {
      way.counts[at(it - way.links.begin())] += count;
    }
  }

  void find_paths(int index) {
    RankState& me = ranks_[at(index)];
    for (std::size_t l = 0; l < me.ways.size(); ++l) {
      if (me.ways[l].steps == 0) continue;
      const ScheduleStep step = me.schedule->step(me.member, static_cast<int>(l), 0);
      if (step.send_to >= 0)
        find_path(me, me.ways[l], traffic_.hops[at(index)][l], groups_.peer(me.rank, step.send_to), step.role);
    }
  }

  void find_path(const RankState& me, Way& way, const Hop& hop, int to_rank, SwitchRole role) {
    const int from = settings_.gpu_of_rank[at(me.rank)], to = settings_.gpu_of_rank[at(to_rank)];
    const int node = from / settings_.gpus_per_node;
    const bool inside = node == to / settings_.gpus_per_node;
    const Route route = fabric_.route(from, to);
    const MessageCost cost =
        message_cost(settings_.library, protocol_, phase_, route, fabric_, plan_.grid.size(), role);
    way.latency = cost.latency;
    way.cap = cost.cap;
    way.efficiency = cost.efficiency;
    way.copy_out = cost.copy_out;
    if (role != SwitchRole::None && route.path_class == PathClass::Nvlink) {
      const auto times = crossings(role);
      for (std::size_t i = 0; i < times.size(); ++i) {
        if (times[i] > 0) cross(way, route.links[i], times[i]);
      }
      return;
    }
    for (std::int32_t l : route.links) {
      if (inside || fabric_.node_of(l) == node) cross(way, l);
    }
    if (inside) return;
    const Time mean = Time::seconds(hop.latency_sum / static_cast<double>(hop.count));
    way.latency += (is_ring(*me.schedule) ? mean : hop.longest) - route.latency;
    for (const auto& [cable, count] : hop.cables) cross(way, cable, count);
    for (const Target& t : way.targets) {
      const int receiver = settings_.gpu_of_rank[at(ranks_[at(t.rank)].rank)];
      for (std::int32_t l : fabric_.route(t.sender, receiver).links) {
        if (fabric_.node_of(l) == receiver / settings_.gpus_per_node) cross(way, l);
      }
    }
  }

  void find_entries(const Leads& leads) {
    std::vector<double> sums(ranks_.size());
    std::vector<std::int64_t> counts(ranks_.size());
    for (std::size_t r = 0; r < leads.size(); ++r) {
      if (traffic_.class_of[r] < 0) continue;
      sums[at(traffic_.class_of[r])] += static_cast<double>(leads[r].picoseconds());
      ++counts[at(traffic_.class_of[r])];
    }
    Time longest;
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      ranks_[i].entry = Time::picoseconds(std::llround(sums[i] / static_cast<double>(counts[i])));  // the lead, so far
      longest = std::max(longest, ranks_[i].entry);
    }
    last_entry_ = longest;
    for (RankState& r : ranks_) r.entry = longest - r.entry;
  }

  /// Steps [first, first + count) of every lane (count < 0: all of them) from a common start; returns the last end.
  Time window(std::int64_t first, std::int64_t count) {
    first_ = first;
    for (RankState& r : ranks_) {
      r.entered = false;
      for (std::size_t l = 0; l < r.lanes.size(); ++l) {
        const std::int64_t steps = r.ways[l].steps;
        r.lanes[l] = {};
        std::fill(r.ways[l].came.begin(), r.ways[l].came.end(), 0);
        r.lanes[l].total = static_cast<std::int32_t>(count < 0 ? steps : std::min(count, steps - first));
      }
    }
    EventQueue queue;
    Network network(queue, links_, kFlow);
    queue_ = &queue;
    network_ = &network;
    messages_.clear();
    Time end;
    for (std::size_t i = 0; i < ranks_.size(); ++i)
      queue.push(ranks_[i].entry, kEntry, static_cast<std::uint32_t>(i), 0);
    while (!queue.empty()) {
      const Event event = queue.pop();
      bool moved = true;
      if (event.kind == kFlow) {
        std::uint64_t token = 0;
        moved = network.finish(event, token);
        if (moved) sent(token);
      } else if (event.kind == kArrival) {
        arrive(event.b);
      } else if (event.kind == kEntry) {
        enter(static_cast<int>(event.a));
      } else {
        Lane& lane = ranks_[event.a].lanes[event.b];
        lane.combining = false;
        lane.combined = true;
        advance(static_cast<int>(event.a), static_cast<int>(event.b));
      }
      if (moved) end = queue.now();
    }
    for (const RankState& r : ranks_) {
      for (const Lane& lane : r.lanes) {
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
    Time latency;
  };

  void enter(int index) {
    RankState& r = ranks_[at(index)];
    r.entered = true;
    advance_all(index, r, 0, static_cast<int>(r.lanes.size()));
  }

  /// Lanes [begin, end), from whole blocks; a lane that gets on may be what others of its block wait for.
  void advance_all(int index, RankState& r, int begin, int end) {
    for (int l = begin; l < end;) l = proceed(index, r, l) && r.coupled > 0 ? l / r.coupled * r.coupled : l + 1;
  }

  void advance(int index, int l) {
    RankState& r = ranks_[at(index)];
    if (!r.entered || !proceed(index, r, l) || r.coupled == 0) return;
    const int block = l / r.coupled * r.coupled;
    advance_all(index, r, block, block + r.coupled);
  }

  bool proceed(int index, RankState& r, int l) {
    Lane& lane = r.lanes[at(l)];
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
    Lane& lane = r.lanes[at(l)];
    if (lane.blocked_on >= 0 && r.lanes[at(lane.blocked_on)].step < lane.blocked_until) return false;
    lane.blocked_on = -1;
    const std::int64_t k = first_ + lane.step;
    const ScheduleStep step = r.schedule->step(r.member, l, k);
    for (const auto& wait : step.waits) {
      if (wait.lane < 0 || r.lanes[at(wait.lane)].step >= wait.steps) continue;
      lane.blocked_on = wait.lane;
      lane.blocked_until = static_cast<std::int32_t>(wait.steps);
      return false;
    }
    lane.begun = true;
    lane.combined = lane.combining = false;
    lane.receive = step.receive_from >= 0 ? step.receive.length : -1;
    lane.reduce = step.reduce && !added_on_the_way(phase_, r.coupled, l);
    if (step.send_to < 0) return true;
    lane.sending = true;
    double elements = static_cast<double>(step.send.length);
    if (is_ring(*r.schedule)) {
      const auto& ring = std::get<RingSchedule>(r.schedule->variant());
      elements = static_cast<double>(ring.buffer.length) / static_cast<double>(ring.loops) / ring.members /
                 ring.orders.channels();
    }
    const Way& way = r.ways[at(l)];
    messages_.push_back({index, l, way.latency});
    if (way.copy_out < Bandwidth::unlimited())
      messages_.back().latency += Bytes(step.send.length * plan_.element_bytes) / way.copy_out;
    network_->start(way.links, elements * plan_.element_bytes / way.efficiency, way.cap, messages_.size() - 1,
                    way.counts);
    return true;
  }

  static bool has_arrived(const Lane& lane, const Way& way) {
    if (way.came.empty()) return lane.arrived > lane.step;
    const auto senders = static_cast<std::int32_t>(way.came.size());
    return way.came[at(lane.step % senders)] > lane.step / senders;
  }

  bool combine(int index, int l, Lane& lane) {
    if (lane.combined) return true;
    if (lane.combining || !has_arrived(lane, ranks_[at(index)].ways[at(l)])) return false;
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
    Lane& lane = ranks_[at(m.rank)].lanes[at(m.lane)];
    queue_->push(queue_->now() + m.latency, kArrival, 0, token);
    lane.sending = false;
    advance(m.rank, m.lane);
  }

  void arrive(std::uint64_t token) {
    const Message m = messages_[token];
    for (const Target& t : ranks_[at(m.rank)].ways[at(m.lane)].targets) {
      RankState& receiver = ranks_[at(t.rank)];
      std::vector<std::int32_t>& came = receiver.ways[at(t.lane)].came;
      ++(came.empty() ? receiver.lanes[at(t.lane)].arrived : came[at(t.turn)]);
      advance(t.rank, t.lane);
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
  Time last_entry_;
};

}  // namespace

Time phase_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, const Phase& phase,
                int protocol, const Traffic& traffic, const Leads& leads) {
  return PhaseSimulation(fabric, settings, plan, phase, protocol, traffic, leads).run();
}

}  // namespace lockstep::sim
