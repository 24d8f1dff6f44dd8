#include "sim/network/collective_engine.hpp"

#include <algorithm>
#include <span>
#include <variant>

#include "core/base/error.hpp"
#include "core/plan/ring_walk.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

namespace {
constexpr std::uint32_t kCombined = 0;
constexpr std::uint32_t kPhaseStart = 1;

constexpr std::uint64_t pack(std::uint32_t high, std::uint32_t low) { return std::uint64_t{high} << 32 | low; }
}  // namespace

/// Where a lane of a rank stands in its schedule.
struct CollectiveEngine::Lane {
  std::int32_t seat = 0;  // in PhaseState::seats
  std::int32_t step = 0;
  std::int32_t total = 0;
  std::int32_t arrived = 0;        // messages received, if they come in the order of their steps
  std::int64_t first_bit = -1;     // if not: of this lane in PhaseState::arrived
  std::int64_t receive = -1;       // elements that the current step receives, -1 = none
  std::int32_t place = 0;          // on a ring's channel
  std::int32_t sent = -1;          // number of the message that is leaving
  std::int32_t blocked_until = 0;  // steps that lane `blocked_on` of this rank must complete first
  std::int16_t blocked_on = -1;
  bool begun : 1 = false, sending : 1 = false, combining : 1 = false, combined : 1 = false, reduce : 1 = false;
  bool awaiting : 1 = false;  // the network will tell when the message has left
};

/// How a lane's messages get to one member of its group.
struct CollectiveEngine::Way {
  std::int32_t member = -1;
  std::int32_t first_lane = 0;  // of that member's rank
  std::span<const std::int32_t> links, counts;
  Time latency;
  Bandwidth cap;
  double efficiency = 1;
};

/// A rank that takes part in a phase: its lanes are [first_lane, first_lane + lanes).
struct CollectiveEngine::Seat {
  std::int32_t first_lane = 0, lanes = 0;
  std::int32_t schedule = -1;
  std::int32_t member = 0;
  std::int32_t rank = 0;
  std::int32_t open_lanes = 0;
};

/// One phase: schedules by member group (they differ in their span only), and where every rank stands in it.
struct CollectiveEngine::PhaseState {
  Collective* collective = nullptr;
  const Phase* spec = nullptr;  // null: not laid out yet
  int index = 0;
  std::int32_t coupled = 0;  // so many lanes of a rank, one block after the other, wait for each other; 0 = none does
  bool in_order = false;     // the messages to a lane come in the order of its steps: one sender, one way
  std::vector<Schedule> schedules;
  std::vector<RingWalk> walks;  // by schedule; empty unless this phase is a ring (but no chain)
  std::vector<Seat> seats;      // by rank
  std::vector<Lane> lanes;
  std::vector<Way> ways;               // by lane: where it sent last
  std::vector<Bandwidth> copy_out;     // by lane, on that way; empty but for NVLS (a way fills a line of the cache)
  std::vector<std::uint64_t> arrived;  // one bit per (lane, step)

  bool has_arrived(const Lane& lane) const {
    if (in_order) return lane.arrived > lane.step;
    const std::int64_t bit = lane.first_bit + lane.step;
    return (arrived[static_cast<std::size_t>(bit >> 6)] >> (bit & 63)) & 1;
  }
  void note_arrival(Lane& lane, std::int32_t step) {
    if (in_order) {
      LOCKSTEP_EXPECTS(step == lane.arrived);
      ++lane.arrived;
      return;
    }
    const std::int64_t bit = lane.first_bit + step;
    std::uint64_t& word = arrived[static_cast<std::size_t>(bit >> 6)];
    LOCKSTEP_EXPECTS(!((word >> (bit & 63)) & 1));
    word |= std::uint64_t{1} << (bit & 63);
  }
};

struct CollectiveEngine::Message {
  PhaseState* phase = nullptr;
  std::int32_t from = 0, to = 0;  // lanes
  std::int32_t to_step = 0;
};

struct CollectiveEngine::Collective {
  struct RankState {
    std::int32_t phase = -1;  // -1: not entered; phases.size(): finished
    Time begin;
  };

  std::shared_ptr<const CollectivePlan> plan;
  int number = 0;
  int protocol = 0;
  std::vector<PhaseState> phases;  // never resized: messages point there
  std::vector<RankState> ranks;
  std::int64_t unreceived = 0;  // messages sent and not yet consumed
  std::int32_t unfinished = 0;
  const Fold* fold = nullptr;
};

/// Cuts a way through a switch, which is one link up and one down, to what the message crosses.
void CollectiveEngine::in_switch(SwitchRole role, Way& way) {
  LOCKSTEP_EXPECTS(way.links.size() == 2 && way.counts.empty());
  const auto& times = crossings(role);
  if (times[1] == 0) {
    way.links = way.links.first(1);
  } else if (times[0] == 0) {
    way.links = way.links.last(1);
  } else {
    way.counts = times;
  }
}

CollectiveEngine::PhaseState& CollectiveEngine::lay_out(Collective& c, int index) {
  PhaseState& p = c.phases[static_cast<std::size_t>(index)];
  if (p.spec) return p;
  const Phase& spec = c.plan->phases[static_cast<std::size_t>(index)];
  p.collective = &c;
  p.spec = &spec;
  p.index = index;
  // Channels of a ring never wait for each other; the lanes of trees and chains do.
  const bool chain = spec.op == CollectiveOp::Reduce || spec.op == CollectiveOp::Broadcast;
  const bool ring = spec.algorithm == PhaseAlgorithm::Ring && !chain;
  p.in_order = spec.algorithm != PhaseAlgorithm::HalvingDoubling && spec.algorithm != PhaseAlgorithm::Nvls;
  const int world = c.plan->grid.size();
  p.seats.resize(static_cast<std::size_t>(world));
  std::vector<std::int32_t> of_column(static_cast<std::size_t>(c.plan->grid.x), -1);
  std::int64_t bits = 0;
  for (int r = 0; r < world; ++r) {
    Seat& seat = p.seats[static_cast<std::size_t>(r)];
    seat.rank = r;
    seat.first_lane = static_cast<std::int32_t>(p.lanes.size());
    if (!c.plan->takes_part(spec, Rank(r)) || (c.fold && !c.fold->simulates(r))) continue;
    // Groups of one phase share a schedule unless they are columns, which own different parts of the buffer.
    const std::size_t column = spec.group == Group::Column ? static_cast<std::size_t>(r % c.plan->grid.x) : 0;
    if (of_column[column] < 0) {
      of_column[column] = static_cast<std::int32_t>(p.schedules.size());
      p.schedules.push_back(c.plan->schedule(spec, Rank(r)));
      p.coupled = p.schedules.back().coupled_lanes();
      if (ring && p.schedules.back().members() > 1)
        p.walks.emplace_back(std::get<RingSchedule>(p.schedules.back().variant()));
    }
    seat.schedule = of_column[column];
    seat.member = c.plan->member(spec, Rank(r));
    const Schedule& schedule = p.schedules[static_cast<std::size_t>(seat.schedule)];
    seat.lanes = schedule.lanes(seat.member);
    for (int l = 0; l < seat.lanes; ++l) {
      Lane lane;
      lane.seat = r;
      lane.total = static_cast<std::int32_t>(schedule.steps(seat.member, l));
      if (ring) lane.place = spec.orders.place_of(l, seat.member);
      if (!p.in_order) {
        lane.first_bit = bits;
        bits += lane.total;
      }
      p.lanes.push_back(lane);
    }
  }
  p.ways.resize(p.lanes.size());
  if (spec.algorithm == PhaseAlgorithm::Nvls) p.copy_out.resize(p.lanes.size(), Bandwidth::unlimited());
  p.arrived.assign(static_cast<std::size_t>((bits + 63) / 64), 0);
  return p;
}

CollectiveEngine::CollectiveEngine(EventQueue& queue, Network& network, Fabric& fabric, EngineSettings settings,
                                   std::uint32_t first_kind)
    : queue_(queue), network_(network), fabric_(fabric), settings_(std::move(settings)), kind_(first_kind) {
  LOCKSTEP_EXPECTS(!settings_.library.protocols.empty());
}

CollectiveEngine::~CollectiveEngine() = default;

void CollectiveEngine::fold(const Fold* fold) {
  LOCKSTEP_EXPECTS(collectives_.empty());
  fold_ = fold;
}

int CollectiveEngine::open(std::shared_ptr<const CollectivePlan> plan, int protocol) {
  LOCKSTEP_EXPECTS(plan->grid.size() <= static_cast<int>(settings_.gpu_of_rank.size()));
  LOCKSTEP_EXPECTS(protocol >= 0 && protocol < static_cast<int>(settings_.library.protocols.size()));
  auto c = std::make_unique<Collective>();
  c->plan = std::move(plan);
  c->number = static_cast<int>(collectives_.size());
  c->protocol = protocol;
  c->phases.resize(c->plan->phases.size());
  c->ranks.resize(static_cast<std::size_t>(c->plan->grid.size()));
  c->fold = fold_;
  c->unfinished = fold_ ? static_cast<std::int32_t>(fold_->simulated.size()) : c->plan->grid.size();
  collectives_.push_back(std::move(c));
  return collectives_.back()->number;
}

void CollectiveEngine::enter(int collective, Rank rank) {
  Collective& c = *collectives_[static_cast<std::size_t>(collective)];
  auto& state = c.ranks[rank.index()];
  LOCKSTEP_EXPECTS(state.phase == -1);
  state.phase = 0;
  begin_phase(c, rank);
}

void CollectiveEngine::begin_phase(Collective& c, Rank rank) {
  auto& state = c.ranks[rank.index()];
  const int phases = static_cast<int>(c.plan->phases.size());
  while (state.phase < phases && !c.plan->takes_part(c.plan->phases[static_cast<std::size_t>(state.phase)], rank))
    ++state.phase;
  if (state.phase == phases) {
    --c.unfinished;
    finished_.emplace_back(c.number, rank);
    return;
  }
  state.begin = queue_.now();
  const ProtocolSpec& protocol = settings_.library.protocols[static_cast<std::size_t>(c.protocol)];
  const Phase& phase = c.plan->phases[static_cast<std::size_t>(state.phase)];
  const Time base = base_of(settings_.library, protocol, phase);
  if (base == Time::zero()) {
    start_phase(c, rank);
  } else {
    queue_.push(queue_.now() + base, kind_ + kPhaseStart, static_cast<std::uint32_t>(rank.value),
                static_cast<std::uint64_t>(c.number));
  }
}

void CollectiveEngine::start_phase(Collective& c, Rank rank) {
  auto& state = c.ranks[rank.index()];
  PhaseState& p = lay_out(c, state.phase);
  Seat& seat = p.seats[rank.index()];
  for (std::int32_t l = 0; l < seat.lanes; ++l)
    seat.open_lanes += p.lanes[static_cast<std::size_t>(seat.first_lane + l)].total > 0;
  if (seat.open_lanes > 0) {
    advance_all(p, seat, 0, seat.lanes);
    return;
  }
  ++state.phase;  // a group of one
  begin_phase(c, rank);
}

void CollectiveEngine::advance_all(PhaseState& p, Seat& seat, std::int32_t begin, std::int32_t end) {
  for (std::int32_t l = begin; l < end && seat.open_lanes > 0;) {
    const bool again = proceed(p, seat, p.lanes[static_cast<std::size_t>(seat.first_lane + l)]) && p.coupled > 0;
    l = again ? l / p.coupled * p.coupled : l + 1;
  }
}

void CollectiveEngine::advance(PhaseState& p, std::int32_t lane) {
  Lane& l = p.lanes[static_cast<std::size_t>(lane)];
  Seat& seat = p.seats[static_cast<std::size_t>(l.seat)];
  if (!proceed(p, seat, l) || p.coupled == 0) return;
  const std::int32_t begin = (lane - seat.first_lane) / p.coupled * p.coupled;
  advance_all(p, seat, begin, begin + p.coupled);
}

bool CollectiveEngine::proceed(PhaseState& p, Seat& seat, Lane& lane) {
  bool progressed = false;
  while (lane.step < lane.total) {
    if (!lane.begun && !begin_step(p, seat, lane)) break;
    if (lane.receive >= 0 && !combine(p, lane)) break;
    if (lane.sending) {
      if (lane.awaiting || !network_.await_left(lane.sent)) {
        lane.awaiting = true;
        break;
      }
      lane.sending = false;
    }
    if (lane.receive >= 0) --p.collective->unreceived;
    ++lane.step;
    lane.begun = false;
    progressed = true;
  }
  if (progressed && lane.step == lane.total && --seat.open_lanes == 0) end_phase(p, seat);
  return progressed;
}

bool CollectiveEngine::begin_step(PhaseState& p, const Seat& seat, Lane& lane) {
  const auto lane_index = static_cast<std::int32_t>(&lane - p.lanes.data());
  const std::int32_t own = lane_index - seat.first_lane;
  Way& way = p.ways[static_cast<std::size_t>(lane_index)];
  lane.combined = lane.combining = false;
  if (!p.walks.empty()) {
    const auto step = p.walks[static_cast<std::size_t>(seat.schedule)].step(own, lane.place, lane.step);
    if (way.member < 0) {
      const int members = p.schedules[static_cast<std::size_t>(seat.schedule)].members();
      way = way_between(p, seat, p.spec->orders.member_at(own, lane.place + 1 == members ? 0 : lane.place + 1));
    }
    lane.begun = true;
    lane.receive = step.received;
    lane.reduce = step.reduce;
    send(p, lane, way, step.sent, own, lane.step);
    return true;
  }
  const auto first = static_cast<std::size_t>(seat.first_lane);
  if (lane.blocked_on >= 0 && p.lanes[first + static_cast<std::size_t>(lane.blocked_on)].step < lane.blocked_until)
    return false;
  lane.blocked_on = -1;
  const ScheduleStep step = p.schedules[static_cast<std::size_t>(seat.schedule)].step(seat.member, own, lane.step);
  for (const auto& wait : step.waits) {
    if (wait.lane < 0 || p.lanes[first + static_cast<std::size_t>(wait.lane)].step >= wait.steps) continue;
    lane.blocked_on = static_cast<std::int16_t>(wait.lane);
    lane.blocked_until = static_cast<std::int32_t>(wait.steps);
    return false;
  }
  lane.begun = true;
  lane.receive = step.receive_from >= 0 ? step.receive.length : -1;
  lane.reduce = step.reduce && !added_on_the_way(*p.spec, p.coupled, own);
  if (step.send_to >= 0) {
    if (way.member != step.send_to) {
      Bandwidth* copy_out = p.copy_out.empty() ? nullptr : &p.copy_out[static_cast<std::size_t>(lane_index)];
      way = way_between(p, seat, step.send_to, step.role, copy_out);
    }
    send(p, lane, way, step.send.length, step.send_lane, static_cast<std::int32_t>(step.send_step));
  }
  return true;
}

bool CollectiveEngine::combine(PhaseState& p, Lane& lane) {
  if (lane.combined) return true;
  if (lane.combining || !p.has_arrived(lane)) return false;
  const Bandwidth reduce = settings_.library.reduce.value;
  if (lane.reduce && reduce.bytes_per_second() > 0 && lane.receive > 0) {
    lane.combining = true;
    queue_.push(queue_.now() + Bytes(lane.receive * p.collective->plan->element_bytes) / reduce, kind_ + kCombined,
                static_cast<std::uint32_t>(&lane - p.lanes.data()),
                pack(static_cast<std::uint32_t>(p.collective->number), static_cast<std::uint32_t>(p.index)));
    return false;
  }
  lane.combined = true;
  return true;
}

void CollectiveEngine::end_phase(PhaseState& p, const Seat& seat) {
  Collective& c = *p.collective;
  const Rank rank(seat.rank);
  auto& state = c.ranks[rank.index()];
  if (rank.index() < traced_.size() && traced_[rank.index()])
    records_.push_back({c.number, rank, p.index, state.begin, queue_.now()});
  ++state.phase;
  begin_phase(c, rank);
}

CollectiveEngine::Way CollectiveEngine::way_between(const PhaseState& p, const Seat& from, int to_member,
                                                    SwitchRole role, Bandwidth* copy_out) const {
  const Collective& c = *p.collective;
  const ProtocolSpec& protocol = settings_.library.protocols[static_cast<std::size_t>(c.protocol)];
  const Rank to = c.plan->rank(*p.spec, Rank(from.rank), to_member);
  const Route& route =
      fabric_.route(settings_.gpu_of_rank[static_cast<std::size_t>(from.rank)], settings_.gpu_of_rank[to.index()]);
  Way way;
  way.member = to_member;
  way.links = route.links;
  std::size_t receiver = to.index();
  if (c.fold) {
    const Fold::Path& path = c.fold->path(from.rank, to.value);
    way.links = path.links;
    way.counts = path.counts;
    receiver = static_cast<std::size_t>(c.fold->representative[receiver]);
  }
  if (role != SwitchRole::None && route.path_class == PathClass::Nvlink) in_switch(role, way);
  way.first_lane = p.seats[receiver].first_lane;
  const MessageCost cost =
      message_cost(settings_.library, protocol, *p.spec, route, fabric_, c.plan->grid.size(), role);
  way.latency = cost.latency;
  way.cap = cost.cap;
  way.efficiency = cost.efficiency;
  if (copy_out) *copy_out = cost.copy_out;
  return way;
}

void CollectiveEngine::send(PhaseState& p, Lane& lane, const Way& way, std::int64_t elements, std::int32_t to_lane,
                            std::int32_t to_step) {
  Collective& c = *p.collective;
  ++messages_;
  ++c.unreceived;
  lane.sending = true;
  lane.awaiting = false;
  const Bytes bytes(elements * c.plan->element_bytes);
  Time latency = way.latency;
  if (!p.copy_out.empty()) {
    const Bandwidth copy_out = p.copy_out[static_cast<std::size_t>(&lane - p.lanes.data())];
    if (copy_out < Bandwidth::unlimited()) latency += bytes / copy_out;
  }
  lane.sent =
      network_.send(way.links, static_cast<double>(bytes.count()) / way.efficiency, way.cap, latency, way.counts);
  if (static_cast<std::size_t>(lane.sent) >= under_way_.size())
    under_way_.resize(static_cast<std::size_t>(lane.sent) + 1);
  under_way_[static_cast<std::size_t>(lane.sent)] = {&p, static_cast<std::int32_t>(&lane - p.lanes.data()),
                                                     way.first_lane + to_lane, to_step};
}

void CollectiveEngine::flow_ended(std::uint64_t token) {
  const Message m = under_way_[token & 0xffffffffU];
  const auto number = static_cast<std::int32_t>(token & 0xffffffffU);
  Lane& from = m.phase->lanes[static_cast<std::size_t>(m.from)];
  if (from.sending && from.sent == number) {
    const bool left = !(token & Network::kArrived) || from.awaiting;
    from.sending = false;
    if (left) advance(*m.phase, m.from);
  }
  if (token & Network::kArrived) arrive(m);
}

void CollectiveEngine::arrive(const Message& m) {
  Lane& lane = m.phase->lanes[static_cast<std::size_t>(m.to)];
  m.phase->note_arrival(lane, m.to_step);
  if (lane.begun && lane.step == m.to_step) advance(*m.phase, m.to);
}

bool CollectiveEngine::handle(const Event& event) {
  if (event.kind < kind_ || event.kind > kind_ + kPhaseStart) return false;
  if (event.kind == kind_ + kPhaseStart) {
    start_phase(*collectives_[event.b], Rank(event.a));
  } else {
    Collective& c = *collectives_[event.b >> 32];
    PhaseState& p = c.phases[event.b & 0xffffffffU];
    p.lanes[event.a].combining = false;
    p.lanes[event.a].combined = true;
    advance(p, static_cast<std::int32_t>(event.a));
  }
  return true;
}

void CollectiveEngine::close_all() {
  for (const auto& c : collectives_) {
    if (c->unfinished != 0 || c->unreceived != 0) {
      throw InternalError("collective ended with " + std::to_string(c->unfinished) + " ranks waiting and " +
                          std::to_string(c->unreceived) + " messages unmatched");
    }
  }
  collectives_.clear();
}

Time bare_collective_time(Fabric& fabric, const EngineSettings& settings, const CollectivePlan& plan, int protocol,
                          std::span<const Time> entries, std::uint64_t* digest, std::int64_t* messages) {
  constexpr std::uint32_t kFlow = 0;
  EventQueue queue;
  Network network(queue, fabric.links(), kFlow);
  CollectiveEngine engine(queue, network, fabric, settings, kFlow + 1);
  const int id = engine.open(std::make_shared<const CollectivePlan>(plan), protocol);
  constexpr std::uint32_t kEnter = 10;
  for (std::size_t r = 0; r < static_cast<std::size_t>(plan.grid.size()); ++r)
    queue.push(entries.empty() ? Time::zero() : entries[r], kEnter, static_cast<std::uint32_t>(r), 0);
  Time end = queue.now();
  while (!queue.empty()) {
    const Event event = queue.pop();
    std::uint64_t token = 0;
    if (event.kind == kFlow) {
      if (network.finish(event, token)) engine.flow_ended(token);
    } else if (event.kind == kEnter) {
      engine.enter(id, Rank(event.a));
    } else {
      engine.handle(event);
    }
    if (!engine.finished().empty()) {
      end = event.time;  // later events may be outdated completions
      engine.finished().clear();
    }
  }
  if (digest) *digest = queue.digest();
  if (messages) *messages = engine.messages();
  engine.close_all();
  return end;
}

}  // namespace lockstep::sim
