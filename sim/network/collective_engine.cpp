#include "sim/network/collective_engine.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "sim/network/message_cost.hpp"

namespace lockstep::sim {

namespace {
constexpr std::uint32_t kArrival = 0;
constexpr std::uint32_t kCombined = 1;
constexpr std::uint32_t kPhaseStart = 2;

constexpr std::uint64_t pack(std::uint32_t high, std::uint32_t low) { return std::uint64_t{high} << 32 | low; }
}  // namespace

/// Where a lane of a rank stands in its schedule.
struct CollectiveEngine::LaneState {
  std::int64_t arrivals = 0;  // first bit of this lane in PhaseState::arrived
  std::int64_t receive = -1;  // elements that the current step receives, -1 = none
  std::int32_t step = 0;
  std::int32_t total = 0;
  std::int32_t blocked_until = 0;  // steps that lane `blocked_on` of this rank must complete first
  std::int16_t blocked_on = -1;
  bool begun : 1 = false, sending : 1 = false, combining : 1 = false, combined : 1 = false, reduce : 1 = false;
};

struct CollectiveEngine::Message {
  Time latency;
  std::int32_t collective = 0, phase = 0;
  std::int32_t from_rank = 0, from_lane = 0;
  std::int32_t to_rank = 0, to_lane = 0;
  std::int32_t to_step = 0;
};

struct CollectiveEngine::Collective {
  // One phase: schedules by member group (they differ in their span only), lanes and arrival bits of every rank that takes part.
  struct PhaseState {
    struct Seat {
      std::int32_t first_lane = 0;
      std::int32_t schedule = -1;
      std::int32_t member = 0;
    };
    const Phase* spec = nullptr;  // null: not laid out yet
    bool coupled = false;         // the lanes of a rank wait for each other
    std::vector<Schedule> schedules;
    std::vector<Seat> seats;  // by rank; size world + 1
    std::vector<LaneState> lanes;
    std::vector<std::uint64_t> arrived;  // one bit per (lane, step)
  };
  struct RankState {
    std::int32_t phase = -1;  // -1: not entered; phases.size(): finished
    std::int32_t open_lanes = 0;
    bool started = false;
    Time begin;
  };

  std::shared_ptr<const CollectivePlan> plan;
  int protocol = 0;
  std::vector<PhaseState> phases;
  std::vector<RankState> ranks;
  std::int64_t unreceived = 0;  // messages sent and not yet consumed
  std::int32_t unfinished = 0;

  const Fold* fold = nullptr;

  PhaseState& phase(int index);
  LaneState& lane(int phase_index, int rank, int lane_index) {
    PhaseState& p = phases[static_cast<std::size_t>(phase_index)];
    return p.lanes[static_cast<std::size_t>(p.seats[static_cast<std::size_t>(rank)].first_lane + lane_index)];
  }
};

/// A rank in the middle of a phase.
struct CollectiveEngine::Participant {
  Collective& collective;
  Collective::PhaseState& phase;
  Collective::RankState& state;
  const Schedule& schedule;
  LaneState* lanes;
  int lane_count;
  int member, rank, collective_index, phase_index;

  bool has_arrived(const LaneState& lane) const {
    const std::int64_t bit = lane.arrivals + lane.step;
    return (phase.arrived[static_cast<std::size_t>(bit >> 6)] >> (bit & 63)) & 1;
  }
};

CollectiveEngine::Participant CollectiveEngine::participant(int collective, int rank) {
  Collective& c = *collectives_[static_cast<std::size_t>(collective)];
  auto& state = c.ranks[static_cast<std::size_t>(rank)];
  auto& p = c.phases[static_cast<std::size_t>(state.phase)];
  const auto* seat = &p.seats[static_cast<std::size_t>(rank)];
  return {c,
          p,
          state,
          p.schedules[static_cast<std::size_t>(seat->schedule)],
          p.lanes.data() + seat->first_lane,
          seat[1].first_lane - seat->first_lane,
          seat->member,
          rank,
          collective,
          state.phase};
}

CollectiveEngine::Collective::PhaseState& CollectiveEngine::Collective::phase(int index) {
  PhaseState& p = phases[static_cast<std::size_t>(index)];
  if (p.spec) return p;
  const Phase& spec = plan->phases[static_cast<std::size_t>(index)];
  p.spec = &spec;
  // Channels of a ring never wait for each other; the lanes of trees and chains do.
  p.coupled =
      spec.algorithm == PhaseAlgorithm::Tree || spec.op == CollectiveOp::Reduce || spec.op == CollectiveOp::Broadcast;
  const int world = plan->grid.size();
  p.seats.resize(static_cast<std::size_t>(world) + 1);
  std::vector<std::int32_t> of_column(static_cast<std::size_t>(plan->grid.x), -1);
  std::int64_t bits = 0;
  for (int r = 0; r < world; ++r) {
    auto& seat = p.seats[static_cast<std::size_t>(r)];
    seat.first_lane = static_cast<std::int32_t>(p.lanes.size());
    if (!plan->takes_part(spec, Rank(r)) || (fold && !fold->simulates(r))) continue;
    // Groups of one phase share a schedule unless they are columns, which own different parts of the buffer.
    const std::size_t column = spec.group == Group::Column ? static_cast<std::size_t>(r % plan->grid.x) : 0;
    if (of_column[column] < 0) {
      of_column[column] = static_cast<std::int32_t>(p.schedules.size());
      p.schedules.push_back(plan->schedule(spec, Rank(r)));
    }
    seat.schedule = of_column[column];
    seat.member = plan->member(spec, Rank(r));
    const Schedule& schedule = p.schedules[static_cast<std::size_t>(seat.schedule)];
    for (int lane = 0; lane < schedule.lanes(seat.member); ++lane) {
      LaneState state;
      state.arrivals = bits;
      state.total = static_cast<std::int32_t>(schedule.steps(seat.member, lane));
      bits += state.total;
      p.lanes.push_back(state);
    }
  }
  p.seats.back().first_lane = static_cast<std::int32_t>(p.lanes.size());
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
  c->protocol = protocol;
  c->phases.resize(c->plan->phases.size());
  c->ranks.resize(static_cast<std::size_t>(c->plan->grid.size()));
  c->fold = fold_;
  c->unfinished = fold_ ? static_cast<std::int32_t>(fold_->simulated.size()) : c->plan->grid.size();
  collectives_.push_back(std::move(c));
  return static_cast<int>(collectives_.size()) - 1;
}

void CollectiveEngine::enter(int collective, Rank rank) {
  auto& state = collectives_[static_cast<std::size_t>(collective)]->ranks[rank.index()];
  LOCKSTEP_EXPECTS(state.phase == -1);
  state.phase = 0;
  begin_phase(collective, rank);
}

void CollectiveEngine::begin_phase(int collective, Rank rank) {
  Collective& c = *collectives_[static_cast<std::size_t>(collective)];
  auto& state = c.ranks[rank.index()];
  const int phases = static_cast<int>(c.plan->phases.size());
  while (state.phase < phases && !c.plan->takes_part(c.plan->phases[static_cast<std::size_t>(state.phase)], rank))
    ++state.phase;
  if (state.phase == phases) {
    --c.unfinished;
    finished_.emplace_back(collective, rank);
    return;
  }
  state.begin = queue_.now();
  state.started = false;
  const ProtocolSpec& protocol = settings_.library.protocols[static_cast<std::size_t>(c.protocol)];
  const Phase& phase = c.plan->phases[static_cast<std::size_t>(state.phase)];
  const Time base = phase.algorithm == PhaseAlgorithm::Tree ? protocol.tree_base : protocol.ring_base;
  if (base == Time::zero()) {
    start_phase(collective, rank);
  } else {
    queue_.push(queue_.now() + base, kind_ + kPhaseStart, static_cast<std::uint32_t>(rank.value),
                static_cast<std::uint64_t>(collective));
  }
}

void CollectiveEngine::start_phase(int collective, Rank rank) {
  Collective& c = *collectives_[static_cast<std::size_t>(collective)];
  auto& state = c.ranks[rank.index()];
  c.phase(state.phase);
  const Participant at = participant(collective, rank.value);
  state.started = true;
  state.open_lanes = 0;
  for (int l = 0; l < at.lane_count; ++l) state.open_lanes += at.lanes[l].total > 0;
  if (state.open_lanes > 0) {
    advance_all(at);
    return;
  }
  ++state.phase;  // a group of one
  begin_phase(collective, rank);
}

void CollectiveEngine::advance_all(const Participant& at) {
  for (int l = 0; l < at.lane_count && at.state.phase == at.phase_index;) {
    const bool again = advance(at, at.lanes[l]) && at.phase.coupled;
    l = again ? 0 : l + 1;
  }
}

void CollectiveEngine::advance(int collective, int rank, int lane) {
  const Participant at = participant(collective, rank);
  if (advance(at, at.lanes[lane]) && at.phase.coupled) advance_all(at);
}

bool CollectiveEngine::begin_step(const Participant& at, LaneState& lane) {
  if (lane.blocked_on >= 0 && at.lanes[lane.blocked_on].step < lane.blocked_until) return false;
  lane.blocked_on = -1;
  const int lane_index = static_cast<int>(&lane - at.lanes);
  const ScheduleStep step = at.schedule.step(at.member, lane_index, lane.step);
  for (const auto& wait : step.waits) {
    if (wait.lane < 0 || at.lanes[wait.lane].step >= wait.steps) continue;
    lane.blocked_on = static_cast<std::int16_t>(wait.lane);
    lane.blocked_until = static_cast<std::int32_t>(wait.steps);
    return false;
  }
  lane.begun = true;
  lane.combined = lane.combining = false;
  lane.receive = step.receive_from >= 0 ? step.receive.length : -1;
  lane.reduce = step.reduce;
  if (step.send_to >= 0) {
    lane.sending = true;
    send(at, lane_index, step);
  }
  return true;
}

bool CollectiveEngine::combine(const Participant& at, LaneState& lane) {
  if (lane.combined) return true;
  if (lane.combining || !at.has_arrived(lane)) return false;
  const Bandwidth reduce = settings_.library.reduce.value;
  if (lane.reduce && reduce.bytes_per_second() > 0 && lane.receive > 0) {
    lane.combining = true;
    queue_.push(queue_.now() + Bytes(lane.receive * at.collective.plan->element_bytes) / reduce, kind_ + kCombined,
                static_cast<std::uint32_t>(at.rank),
                pack(static_cast<std::uint32_t>(at.collective_index), static_cast<std::uint32_t>(&lane - at.lanes)));
    return false;
  }
  lane.combined = true;
  return true;
}

bool CollectiveEngine::advance(const Participant& at, LaneState& lane) {
  bool progressed = false;
  while (lane.step < lane.total) {
    if (!lane.begun && !begin_step(at, lane)) break;
    if (lane.receive >= 0 && !combine(at, lane)) break;
    if (lane.sending) break;
    if (lane.receive >= 0) --at.collective.unreceived;
    ++lane.step;
    lane.begun = false;
    progressed = true;
  }
  if (progressed && lane.step == lane.total && --at.state.open_lanes == 0) end_phase(at);
  return progressed;
}

void CollectiveEngine::end_phase(const Participant& at) {
  if (static_cast<std::size_t>(at.rank) < traced_.size() && traced_[static_cast<std::size_t>(at.rank)]) {
    records_.push_back({at.collective_index, Rank(at.rank), at.phase_index, at.state.begin, queue_.now()});
  }
  ++at.state.phase;
  begin_phase(at.collective_index, Rank(at.rank));
}

void CollectiveEngine::send(const Participant& at, int lane, const ScheduleStep& step) {
  const Collective& c = at.collective;
  const ProtocolSpec& protocol = settings_.library.protocols[static_cast<std::size_t>(c.protocol)];
  int to = c.plan->rank(*at.phase.spec, Rank(at.rank), step.send_to).value;
  const Route& route = fabric_.route(settings_.gpu_of_rank[static_cast<std::size_t>(at.rank)],
                                     settings_.gpu_of_rank[static_cast<std::size_t>(to)]);

  const bool tree = at.phase.spec->algorithm == PhaseAlgorithm::Tree;
  const auto [latency, cap] = message_cost(settings_.library, protocol, tree, route, settings_.gpudirect);
  std::span<const std::int32_t> links = route.links, counts;
  if (fold_) {
    const Fold::Path& path = fold_->path(at.rank, to);
    links = path.links;
    counts = path.counts;
    to = fold_->representative[static_cast<std::size_t>(to)];
  }
  std::uint32_t index;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(pool_.size());
    pool_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  pool_[index] = {latency,        at.collective_index,
                  at.phase_index, at.rank,
                  lane,           to,
                  step.send_lane, static_cast<std::int32_t>(step.send_step)};
  ++messages_;
  ++at.collective.unreceived;
  network_.start(links, static_cast<double>(step.send.length * c.plan->element_bytes) / protocol.efficiency, cap, index,
                 counts);
}

void CollectiveEngine::flow_ended(std::uint64_t token) {
  const auto index = static_cast<std::uint32_t>(token);
  const Message m = pool_[index];
  queue_.push(queue_.now() + m.latency, kind_ + kArrival, index, 0);
  collectives_[static_cast<std::size_t>(m.collective)]->lane(m.phase, m.from_rank, m.from_lane).sending = false;
  advance(m.collective, m.from_rank, m.from_lane);
}

void CollectiveEngine::arrive(std::uint32_t index) {
  const Message m = pool_[index];
  free_.push_back(index);
  Collective& c = *collectives_[static_cast<std::size_t>(m.collective)];
  auto& p = c.phase(m.phase);
  const LaneState& lane = c.lane(m.phase, m.to_rank, m.to_lane);
  const std::int64_t bit = lane.arrivals + m.to_step;
  std::uint64_t& word = p.arrived[static_cast<std::size_t>(bit >> 6)];
  LOCKSTEP_EXPECTS(!((word >> (bit & 63)) & 1));
  word |= std::uint64_t{1} << (bit & 63);
  const auto& state = c.ranks[static_cast<std::size_t>(m.to_rank)];
  if (state.phase == m.phase && state.started && lane.step == m.to_step && lane.begun)
    advance(m.collective, m.to_rank, m.to_lane);
}

bool CollectiveEngine::handle(const Event& event) {
  if (event.kind < kind_ || event.kind > kind_ + kPhaseStart) return false;
  switch (event.kind - kind_) {
    case kArrival: arrive(event.a); break;
    case kCombined: {
      const auto collective = static_cast<int>(event.b >> 32);
      const auto lane = static_cast<int>(event.b & 0xffffffffu);
      const Participant at = participant(collective, static_cast<int>(event.a));
      at.lanes[lane].combining = false;
      at.lanes[lane].combined = true;
      advance(collective, at.rank, lane);
      break;
    }
    default: start_phase(static_cast<int>(event.b), Rank(event.a)); break;
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
                          Time stagger, std::uint64_t* digest, std::int64_t* messages) {
  constexpr std::uint32_t kFlow = 0;
  EventQueue queue;
  Network network(queue, fabric.links(), kFlow);
  CollectiveEngine engine(queue, network, fabric, settings, kFlow + 1);
  const int id = engine.open(std::make_shared<const CollectivePlan>(plan), protocol);
  constexpr std::uint32_t kEnter = 10;
  for (int r = 0; r < plan.grid.size(); ++r)
    queue.push(stagger * (r % settings.gpus_per_node), kEnter, static_cast<std::uint32_t>(r), 0);
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
