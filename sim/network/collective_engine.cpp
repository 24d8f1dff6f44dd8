#include "sim/network/collective_engine.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep::sim {

namespace {
constexpr std::uint32_t kArrival = 0;
constexpr std::uint32_t kCombined = 1;
constexpr std::uint32_t kPhaseStart = 2;

constexpr std::uint64_t pack(std::uint32_t high, std::uint32_t low) { return std::uint64_t{high} << 32 | low; }
}  // namespace

struct CollectiveEngine::LaneState {
  std::int64_t arrivals = 0;  // first bit of this lane in Phase::arrived
  std::int32_t step = 0;
  std::int32_t total = 0;
  std::int64_t receive = -1;  // elements that the current step receives, -1 = none
  bool begun = false, sending = false, combining = false, combined = false, reduce = false;
};

struct CollectiveEngine::Message {
  Time latency;
  std::int32_t collective = 0, phase = 0;
  std::int32_t from_rank = 0, from_lane = 0;
  std::int32_t to_rank = 0, to_lane = 0;
  std::int32_t to_step = 0;
  bool arriving = false;
};

struct CollectiveEngine::Collective {
  // One phase: schedules by member group (they differ in their span only), lanes and arrival bits of every rank that takes part.
  struct PhaseState {
    std::vector<Schedule> schedules;
    std::vector<std::int32_t> schedule_of;  // by rank
    std::vector<std::int32_t> first_lane;   // by rank; size world + 1
    std::vector<LaneState> lanes;
    std::vector<std::uint64_t> arrived;  // one bit per (lane, step)
    bool ready = false;
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

  PhaseState& phase(int index);
  bool has_arrived(const PhaseState& p, const LaneState& lane) const {
    const std::int64_t bit = lane.arrivals + lane.step;
    return (p.arrived[static_cast<std::size_t>(bit >> 6)] >> (bit & 63)) & 1;
  }
};

CollectiveEngine::Collective::PhaseState& CollectiveEngine::Collective::phase(int index) {
  PhaseState& p = phases[static_cast<std::size_t>(index)];
  if (p.ready) return p;
  p.ready = true;
  const Phase& spec = plan->phases[static_cast<std::size_t>(index)];
  const int world = plan->grid.size();
  p.schedule_of.assign(static_cast<std::size_t>(world), -1);
  p.first_lane.assign(static_cast<std::size_t>(world) + 1, 0);
  std::vector<std::int32_t> of_column(static_cast<std::size_t>(plan->grid.x), -1);
  std::int64_t bits = 0;
  for (int r = 0; r < world; ++r) {
    p.first_lane[static_cast<std::size_t>(r)] = static_cast<std::int32_t>(p.lanes.size());
    if (!plan->takes_part(spec, Rank(r))) continue;
    // Groups of one phase share a schedule unless they are columns, which own different parts of the buffer.
    const std::size_t column = spec.group == Group::Column ? static_cast<std::size_t>(r % plan->grid.x) : 0;
    if (of_column[column] < 0) {
      of_column[column] = static_cast<std::int32_t>(p.schedules.size());
      p.schedules.push_back(plan->schedule(spec, Rank(r)));
    }
    const Schedule& schedule = p.schedules[static_cast<std::size_t>(of_column[column])];
    p.schedule_of[static_cast<std::size_t>(r)] = of_column[column];
    const int member = plan->member(spec, Rank(r));
    for (int lane = 0; lane < schedule.lanes(member); ++lane) {
      LaneState state;
      state.arrivals = bits;
      state.total = static_cast<std::int32_t>(schedule.steps(member, lane));
      bits += state.total;
      p.lanes.push_back(state);
    }
  }
  p.first_lane[static_cast<std::size_t>(world)] = static_cast<std::int32_t>(p.lanes.size());
  p.arrived.assign(static_cast<std::size_t>((bits + 63) / 64), 0);
  return p;
}

CollectiveEngine::CollectiveEngine(EventQueue& queue, Network& network, Fabric& fabric, EngineSettings settings,
                                   std::uint32_t first_kind)
    : queue_(queue), network_(network), fabric_(fabric), settings_(std::move(settings)), kind_(first_kind) {
  LOCKSTEP_EXPECTS(!settings_.library.protocols.empty());
}

CollectiveEngine::~CollectiveEngine() = default;

int CollectiveEngine::open(std::shared_ptr<const CollectivePlan> plan, int protocol) {
  LOCKSTEP_EXPECTS(plan->grid.size() <= static_cast<int>(settings_.gpu_of_rank.size()));
  LOCKSTEP_EXPECTS(protocol >= 0 && protocol < static_cast<int>(settings_.library.protocols.size()));
  auto c = std::make_unique<Collective>();
  c->plan = std::move(plan);
  c->protocol = protocol;
  c->phases.resize(c->plan->phases.size());
  c->ranks.resize(static_cast<std::size_t>(c->plan->grid.size()));
  c->unfinished = c->plan->grid.size();
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
  auto& p = c.phase(state.phase);
  const auto first = p.first_lane[rank.index()], last = p.first_lane[rank.index() + 1];
  state.started = true;
  state.open_lanes = 0;
  for (auto l = first; l < last; ++l) state.open_lanes += p.lanes[static_cast<std::size_t>(l)].total > 0;
  if (state.open_lanes > 0) {
    advance_all(collective, rank.value);
    return;
  }
  ++state.phase;  // a group of one
  begin_phase(collective, rank);
}

void CollectiveEngine::advance_all(int collective, int rank) {
  Collective& c = *collectives_[static_cast<std::size_t>(collective)];
  const int phase = c.ranks[static_cast<std::size_t>(rank)].phase;
  const auto& p = c.phases[static_cast<std::size_t>(phase)];
  const int lanes = p.first_lane[static_cast<std::size_t>(rank) + 1] - p.first_lane[static_cast<std::size_t>(rank)];
  for (int l = 0; l < lanes; ++l) {
    if (c.ranks[static_cast<std::size_t>(rank)].phase != phase) return;
    advance(collective, rank, l);
  }
}

void CollectiveEngine::advance(int collective, int rank, int lane_index) {
  Collective& c = *collectives_[static_cast<std::size_t>(collective)];
  auto& state = c.ranks[static_cast<std::size_t>(rank)];
  const int phase = state.phase;
  auto& p = c.phases[static_cast<std::size_t>(phase)];
  const auto first = static_cast<std::size_t>(p.first_lane[static_cast<std::size_t>(rank)]);
  const Phase& spec = c.plan->phases[static_cast<std::size_t>(phase)];
  // Channels of a ring never wait for each other; the lanes of trees and chains do.
  const bool coupled =
      spec.algorithm == PhaseAlgorithm::Tree || spec.op == CollectiveOp::Reduce || spec.op == CollectiveOp::Broadcast;
  const Schedule& schedule = p.schedules[static_cast<std::size_t>(p.schedule_of[static_cast<std::size_t>(rank)])];
  const int member = c.plan->member(spec, Rank(rank));
  LaneState& lane = p.lanes[first + static_cast<std::size_t>(lane_index)];

  bool progressed = false;
  while (lane.step < lane.total) {
    if (!lane.begun) {
      const ScheduleStep step = schedule.step(member, lane_index, lane.step);
      bool blocked = false;
      for (const auto& wait : step.waits) {
        if (wait.lane >= 0 && p.lanes[first + static_cast<std::size_t>(wait.lane)].step < wait.steps) blocked = true;
      }
      if (blocked) break;
      lane.begun = true;
      lane.combined = lane.combining = false;
      lane.receive = step.receive_from >= 0 ? step.receive.length : -1;
      lane.reduce = step.reduce;
      if (step.send_to >= 0) {
        lane.sending = true;
        send(collective, phase, rank, lane_index, step);
      }
    }
    if (lane.receive >= 0 && !lane.combined) {
      if (lane.combining || !c.has_arrived(p, lane)) break;
      const Bandwidth reduce = settings_.library.reduce.value;
      if (lane.reduce && reduce.bytes_per_second() > 0 && lane.receive > 0) {
        lane.combining = true;
        queue_.push(queue_.now() + Bytes(lane.receive * c.plan->element_bytes) / reduce, kind_ + kCombined,
                    static_cast<std::uint32_t>(rank),
                    pack(static_cast<std::uint32_t>(collective), static_cast<std::uint32_t>(lane_index)));
        break;
      }
      lane.combined = true;
    }
    if (lane.sending) break;
    if (lane.receive >= 0) --c.unreceived;
    ++lane.step;
    lane.begun = false;
    progressed = true;
  }
  if (!progressed) return;
  if (lane.step == lane.total && --state.open_lanes == 0) {
    if (static_cast<std::size_t>(rank) < traced_.size() && traced_[static_cast<std::size_t>(rank)]) {
      records_.push_back({collective, Rank(rank), phase, state.begin, queue_.now()});
    }
    ++state.phase;
    begin_phase(collective, Rank(rank));
    return;
  }
  if (coupled) advance_all(collective, rank);
}

void CollectiveEngine::send(int collective, int phase, int rank, int lane, const ScheduleStep& step) {
  Collective& c = *collectives_[static_cast<std::size_t>(collective)];
  const Phase& spec = c.plan->phases[static_cast<std::size_t>(phase)];
  const ProtocolSpec& protocol = settings_.library.protocols[static_cast<std::size_t>(c.protocol)];
  const int to = c.plan->rank(spec, Rank(rank), step.send_to).value;
  const Route route = fabric_.route(settings_.gpu_of_rank[static_cast<std::size_t>(rank)],
                                    settings_.gpu_of_rank[static_cast<std::size_t>(to)]);

  const bool tree = spec.algorithm == PhaseAlgorithm::Tree;
  Time latency = route.latency;
  Bandwidth cap = tree ? protocol.tree_cap : protocol.ring_cap;
  switch (route.path_class) {
    case PathClass::Local: break;
    case PathClass::Nvlink: latency += tree ? protocol.tree_nvlink : protocol.ring_nvlink; break;
    case PathClass::Pcie: latency += tree ? protocol.tree_pcie : protocol.ring_pcie; break;
    case PathClass::Network: latency += tree ? protocol.tree_network : protocol.ring_network; break;
  }
  const bool staged = route.path_class == PathClass::Network &&
                      (settings_.library.host_memory || (route.crosses_host && !settings_.gpudirect));
  if (staged) {
    latency += settings_.library.staging_latency.value;
    if (settings_.library.staging.value.bytes_per_second() > 0) cap = std::min(cap, settings_.library.staging.value);
  }

  std::uint32_t index;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(pool_.size());
    pool_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Message& m = pool_[index];
  m = {latency, collective, phase, rank, lane, to, step.send_lane, static_cast<std::int32_t>(step.send_step), false};
  ++messages_;
  ++c.unreceived;
  network_.start(route.links, static_cast<double>(step.send.length * c.plan->element_bytes) / protocol.efficiency, cap,
                 index);
}

void CollectiveEngine::flow_ended(std::uint64_t token) {
  const auto index = static_cast<std::uint32_t>(token);
  Message& m = pool_[index];
  m.arriving = true;
  queue_.push(queue_.now() + m.latency, kind_ + kArrival, index, 0);
  Collective& c = *collectives_[static_cast<std::size_t>(m.collective)];
  auto& p = c.phases[static_cast<std::size_t>(m.phase)];
  p.lanes[static_cast<std::size_t>(p.first_lane[static_cast<std::size_t>(m.from_rank)] + m.from_lane)].sending = false;
  advance(m.collective, m.from_rank, m.from_lane);
}

void CollectiveEngine::arrive(std::uint32_t index) {
  const Message m = pool_[index];
  free_.push_back(index);
  Collective& c = *collectives_[static_cast<std::size_t>(m.collective)];
  auto& p = c.phase(m.phase);
  const LaneState& lane =
      p.lanes[static_cast<std::size_t>(p.first_lane[static_cast<std::size_t>(m.to_rank)] + m.to_lane)];
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
      Collective& c = *collectives_[static_cast<std::size_t>(collective)];
      auto& p = c.phases[static_cast<std::size_t>(c.ranks[event.a].phase)];
      LaneState& state = p.lanes[static_cast<std::size_t>(p.first_lane[event.a] + lane)];
      state.combining = false;
      state.combined = true;
      advance(collective, static_cast<int>(event.a), lane);
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
