#include "sim/step/communication_lanes.hpp"

#include <algorithm>
#include <numeric>

#include "core/base/error.hpp"

namespace lockstep::sim {

Time next_tick(Time since_start, Time cycle) {
  if (cycle <= Time::zero()) return since_start;
  const std::int64_t c = cycle.picoseconds();
  return Time::picoseconds((since_start.picoseconds() + c - 1) / c * c);
}

CommunicationLanes::CommunicationLanes(EventQueue& queue, Network& network, CollectiveEngine& engine,
                                       const LibrarySpec& library, const StepInput& input, ComputeLanes& compute)
    : queue_(queue),
      network_(network),
      engine_(engine),
      library_(library),
      input_(input),
      compute_(compute),
      buckets_(static_cast<int>(input.collectives.size())),
      contended_(input.gpu && std::any_of(input.collectives.begin(), input.collectives.end(),
                                          [](const CollectiveChoice& c) { return !c.load.none(); })) {
  const auto ranks = static_cast<std::size_t>(compute.world());
  if (input.fold) {
    simulated_ = input.fold->simulated;
  } else {
    simulated_.resize(ranks);
    std::iota(simulated_.begin(), simulated_.end(), 0);
  }
  const auto cells = ranks * static_cast<std::size_t>(buckets_);
  lanes_.resize(ranks);
  times_.resize(cells);
  queued_.assign(cells, 0);
  full_ranks_.assign(static_cast<std::size_t>(buckets_), 0);
}

void CommunicationLanes::simulate() {
  LOCKSTEP_EXPECTS(compute_.world() > 1);
  engine_.fold(input_.fold.get());
  for (const CollectiveChoice& c : input_.collectives) {
    if (!c.known) engine_.open(c.plan, c.protocol);
  }
  for (int rank : simulated_) start(rank);
  while (!queue_.empty()) {
    handle(queue_.pop());
    auto& finished = engine_.finished();
    for (std::size_t i = 0; i < finished.size(); ++i) finish(finished[i].second.value, finished[i].first);
    finished.clear();
  }
  engine_.close_all();
}

void CommunicationLanes::start(int rank) {
  if (contended_) return expect_next(rank);
  for (int b = 0; b < buckets_; ++b) expect(rank, b);
}

void CommunicationLanes::handle(const Event& event) {
  const int rank = static_cast<int>(event.a);
  if (event.kind == kFlow) {
    std::uint64_t token = 0;
    if (network_.finish(event, token)) engine_.flow_ended(token);
  } else if (event.kind == kFull) {
    Lane& lane = lanes_[event.a];
    if (event.b >> 32 != lane.version) return;  // the lane has changed its speed since
    on_full(rank, static_cast<int>(event.b & 0xffffffffu));
    if (!contended_) return;
    ++lane.awaited;
    expect_next(rank);
  } else if (event.kind == kQueued) {
    queued_[cell(rank, static_cast<int>(event.b))] = 1;
    take_turn(rank);
    react(rank);
  } else if (event.kind == kKnown) {
    engine_.finished().emplace_back(static_cast<int>(event.b), Rank(rank));
  } else {
    engine_.handle(event);
  }
}

/// Asks for an event when the rank's compute lane, at its speed of now, completes the bucket.
void CommunicationLanes::expect(int rank, int bucket) {
  const auto r = static_cast<std::size_t>(rank);
  const Time when = compute_.lane[r].when(compute_.prefix[r]->full[static_cast<std::size_t>(bucket)]);
  times_[cell(rank, bucket)].full = when;
  queue_.push(when, kFull, static_cast<std::uint32_t>(rank),
              std::uint64_t{lanes_[r].version} << 32 | static_cast<std::uint64_t>(bucket));
}

void CommunicationLanes::expect_next(int rank) {
  const auto r = static_cast<std::size_t>(rank);
  const int awaited = lanes_[r].awaited;
  if (awaited < buckets_) expect(rank, compute_.prefix[r]->full_order[static_cast<std::size_t>(awaited)]);
}

/// The compute lane takes on the speed that the collectives now under way leave it.
void CommunicationLanes::react(int rank) {
  if (!contended_) return;
  const auto r = static_cast<std::size_t>(rank);
  Lane& lane = lanes_[r];
  if (!compute_.lane[r].change(queue_.now(), slowdown(lane.load, *input_.gpu)) || lane.awaited == buckets_) return;
  ++lane.version;
  expect_next(rank);
}

void CommunicationLanes::on_full(int rank, int bucket) {
  const Coordination& c = input_.program->buckets.coordination;
  if (!c.negotiated) {
    const Time start = compute_.start[static_cast<std::size_t>(rank)];
    enqueue(rank, bucket, start + next_tick(queue_.now() - start, c.cycle));
  } else if (++full_ranks_[static_cast<std::size_t>(bucket)] == static_cast<int>(simulated_.size())) {
    const Time first = *std::min_element(compute_.start.begin(), compute_.start.end());
    const Time go = first + next_tick(queue_.now() - first, c.cycle) + library_.negotiate.value;
    for (int r : simulated_) enqueue(r, bucket, go);
  }
}

void CommunicationLanes::enqueue(int rank, int bucket, Time agreed) {
  queue_.push(agreed + choice(bucket).pack + library_.launch.value, kQueued, static_cast<std::uint32_t>(rank),
              static_cast<std::uint64_t>(bucket));
}

void CommunicationLanes::take_turn(int rank) {
  const auto r = static_cast<std::size_t>(rank);
  Lane& lane = lanes_[r];
  while (lane.busy < input_.in_flight && lane.next < buckets_ && queued_[cell(rank, lane.next)]) {
    const int bucket = lane.next++;
    BucketTimes& times = times_[cell(rank, bucket)];
    ++lane.busy;
    times.begin = queue_.now();
    lane.load += choice(bucket).load;
    if (const auto& known = choice(bucket).known) {
      const Time start = compute_.start[r];
      const Time length = known(times.full - start, std::max(start, lane.free) - start);
      queue_.push(queue_.now() + length, kKnown, static_cast<std::uint32_t>(rank), static_cast<std::uint64_t>(bucket));
    } else {
      engine_.enter(bucket, Rank(rank));
    }
  }
}

void CommunicationLanes::finish(int rank, int bucket) {
  Lane& lane = lanes_[static_cast<std::size_t>(rank)];
  times_[cell(rank, bucket)].done = queue_.now() + choice(bucket).pack;
  --lane.busy;
  lane.free = queue_.now();
  lane.load -= choice(bucket).load;
  take_turn(rank);
  react(rank);
}

}  // namespace lockstep::sim
