#include "sim/step/step_simulation.hpp"

#include <algorithm>
#include <unordered_map>

#include "core/base/error.hpp"
#include "core/spec/words.hpp"
#include "sim/step/communication_lanes.hpp"

namespace lockstep::sim {

namespace {

/// The phases of every traced rank, as its representative saw them.
std::vector<PhaseRecord> unfolded(const std::vector<PhaseRecord>& records, const Fold& fold,
                                  const std::vector<char>& traced) {
  std::vector<PhaseRecord> out;
  for (const PhaseRecord& record : records) {
    for (std::size_t r = 0; r < traced.size(); ++r) {
      if (!traced[r] || fold.representative[r] != record.rank.value) continue;
      out.push_back(record);
      out.back().rank = Rank(static_cast<int>(r));
    }
  }
  return out;
}

/// Who is recorded so that unfolded() has what it needs.
std::vector<char> watched(const std::vector<char>& traced, const Fold* fold) {
  if (!fold) return traced;
  std::vector<char> out(traced.size(), 0);
  for (std::size_t r = 0; r < traced.size(); ++r) {
    if (traced[r]) out[static_cast<std::size_t>(fold->representative[r])] = 1;
  }
  return out;
}

using Prefixes = std::unordered_map<const RankDurations*, LanePrefix>;

/// `prefixes` keeps what the lanes point to. The first rank to start does so at `base`.
ComputeLanes compute_lanes(const StepInput& input, Time base, Prefixes& prefixes) {
  const std::size_t ranks = input.durations.size();
  ComputeLanes compute;
  compute.start.assign(ranks, base);
  if (input.starts) {
    const Time origin = *std::min_element(input.starts->begin(), input.starts->end());
    for (std::size_t r = 0; r < ranks; ++r) compute.start[r] = base + ((*input.starts)[r] - origin);
  }
  compute.lane.reserve(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    auto it = prefixes.find(input.durations[r]);
    if (it == prefixes.end())
      it = prefixes.emplace(input.durations[r], lane_prefix(*input.program, *input.durations[r])).first;
    compute.prefix.push_back(&it->second);
    compute.lane.emplace_back(it->second.work, compute.start[r], input.factors[r]);
  }
  return compute;
}

/// A rank after its backward pass: each update waits for the buckets that it needs.
struct Updates {
  std::vector<Time> begin;  ///< by update, in the program's order
  Time wait, work, end;
};

/// A step whose events are over.
class FinishedStep {
 public:
  FinishedStep(const StepInput& input, const ComputeLanes& compute, const CommunicationLanes& lanes)
      : input_(input), program_(*input.program), compute_(compute), lanes_(lanes) {
    for (const Op& op : program_.ops) {
      if (op.kind == OpKind::Update) updates_.push_back(&op);
    }
    for (int r = 0; r < compute.world(); ++r) backward_end_.push_back(when(r, prefix(r).work.end()));
    last_backward_ = *std::max_element(backward_end_.begin(), backward_end_.end());
  }

  Updates updates(int rank) const {
    Updates u;
    Time t = backward_end_[static_cast<std::size_t>(rank)];
    for (const Op* op : updates_) {
      const Time begin = std::max(t, sums_ready(rank, *op));
      u.begin.push_back(begin);
      u.wait += begin - t;
      const Time length = update_length(rank, *op);
      u.work += length;
      t = begin + length;
    }
    u.end = t;
    return u;
  }

  /// Where this rank's time went.
  Breakdown parts(int rank, const Updates& u) const {
    Breakdown b;
    for (const LanePrefix::Run& run : prefix(rank).runs)
      (run.kind == OpKind::Forward ? b.forward : b.backward) += when(rank, run.end) - when(rank, run.begin);
    b.straggler = std::min(u.wait, last_backward_ - backward_end_[static_cast<std::size_t>(rank)]);
    b.exposed = u.wait - b.straggler;
    b.update = u.work;
    return b;
  }

  /// Appends what this rank did to a timeline whose zero is `origin`.
  void record(int rank, const Updates& u, Time origin, std::vector<TimelineEvent>& records) const {
    const auto add = [&](const Op& op, Time begin, Time end, Bytes bytes = Bytes(0)) {
      records.push_back(
          {Rank(rank), op.lane, input_.step, op.kind, program_.name(op), begin - origin, end - origin, bytes});
    };
    Time position;
    for (const Op& op : program_.ops) {
      const Time length = durations(rank).of_op[op.id.index()];
      if (op.kind == OpKind::Load) {
        const Time start = compute_.start[static_cast<std::size_t>(rank)];
        add(op, start, start + length);
      } else if (op.kind == OpKind::Forward || op.kind == OpKind::Backward) {
        add(op, when(rank, position), when(rank, position + length));
        position += length;
      } else if (op.kind == OpKind::Allreduce && compute_.world() > 1) {
        const BucketTimes& times = lanes_.times(rank, op.bucket.value);
        // Unpacking runs on a stream of its own, beside the next collective.
        const Time unpack = input_.collectives[op.bucket.index()].pack;
        add(op, times.begin, times.done - unpack, program_.buckets.buckets[op.bucket.index()].bytes());
      }
    }
    for (std::size_t i = 0; i < updates_.size(); ++i)
      add(*updates_[i], u.begin[i], u.begin[i] + update_length(rank, *updates_[i]));
  }

 private:
  const LanePrefix& prefix(int rank) const { return *compute_.prefix[static_cast<std::size_t>(rank)]; }
  const RankDurations& durations(int rank) const { return *input_.durations[static_cast<std::size_t>(rank)]; }

  Time when(int rank, Time position) const {
    return compute_.lane[static_cast<std::size_t>(input_.stands_for(rank))].when(position);
  }
  Time update_length(int rank, const Op& op) const {
    return durations(rank).of_op[op.id.index()] * input_.factors[static_cast<std::size_t>(rank)];
  }
  /// When the last bucket that `update` needs is done; zero for a world of one.
  Time sums_ready(int rank, const Op& update) const {
    Time ready;
    for (OpId need : update.needs) {
      const Op& op = program_.ops[need.index()];
      if (op.kind == OpKind::Allreduce && compute_.world() > 1)
        ready = std::max(ready, lanes_.times(rank, op.bucket.value).done);
    }
    return ready;
  }

  const StepInput& input_;
  const StepProgram& program_;
  const ComputeLanes& compute_;
  const CommunicationLanes& lanes_;
  std::vector<const Op*> updates_;
  std::vector<Time> backward_end_;
  Time last_backward_;
};

BucketReport bucket_report(const CollectiveChoice& choice, int bucket, const CommunicationLanes& lanes,
                           const ComputeLanes& compute, const LibrarySpec& library) {
  BucketReport row;
  row.bucket = BucketId(bucket);
  row.bytes = choice.plan->bytes();
  row.algorithm = word_of(choice.plan->algorithm);
  row.protocol = library.protocols[static_cast<std::size_t>(choice.protocol)].name;
  double ready = 0, begin = 0;
  for (int r = 0; r < compute.world(); ++r) {
    const BucketTimes& times = lanes.times(r, bucket);
    const Time start = compute.start[static_cast<std::size_t>(r)];
    ready += (times.full - start).seconds();
    begin += (times.begin - start).seconds();
    row.end = std::max(row.end, times.done - start);
  }
  row.ready = Time::seconds(ready / compute.world());
  row.begin = Time::seconds(begin / compute.world());
  return row;
}

}  // namespace

struct StepSimulation::Impl {
  EngineSettings settings;
  int world;
  EventQueue queue;
  Network network;
  CollectiveEngine engine;
  std::vector<char> traced;
  Time shown;  // time of the next step's start in the timeline
  std::vector<BucketReport> report;

  Impl(Fabric& fabric, const EngineSettings& s, int n)
      : settings(s),
        world(n),
        network(queue, fabric.links(), CommunicationLanes::kFlow),
        engine(queue, network, fabric, s, CommunicationLanes::kEngine) {}

  StepOutcome run(const StepInput& input);
  void record_phases(const StepInput& input, Time origin, std::vector<TimelineEvent>& records);
};

StepOutcome StepSimulation::Impl::run(const StepInput& input) {
  const Time base = queue.now();
  for (std::size_t i = 0; input.capacities && i < input.capacities->size(); ++i)
    network.set_capacity(static_cast<std::int32_t>(input.first_capacity + i), (*input.capacities)[i]);
  engine.trace(watched(traced, input.fold.get()));

  Prefixes prefixes;
  ComputeLanes compute = compute_lanes(input, base, prefixes);
  CommunicationLanes lanes(queue, network, engine, settings.library, input, compute);
  if (world > 1) lanes.simulate();

  const Time latest_start = *std::max_element(compute.start.begin(), compute.start.end());
  const Time origin = latest_start - shown;
  const FinishedStep step(input, compute, lanes);
  StepOutcome outcome;
  Breakdown sum;
  Time latest_end;
  for (int r = 0; r < world; ++r) {
    const Updates updates = step.updates(r);
    sum += step.parts(r, updates);
    latest_end = std::max(latest_end, updates.end);
    if (static_cast<std::size_t>(r) < traced.size() && traced[static_cast<std::size_t>(r)])
      step.record(r, updates, origin, outcome.records);
    if (input.starts) (*input.starts)[static_cast<std::size_t>(r)] = updates.end - base;
  }
  record_phases(input, origin, outcome.records);

  outcome.elapsed = latest_end - latest_start;
  outcome.parts = sum / static_cast<double>(world);
  outcome.parts.straggler += outcome.elapsed - outcome.parts.total();  // mean against slowest
  Time input_time;
  for (const RankDurations* d : input.durations) input_time = std::max(input_time, d->input);
  if (input_time > outcome.elapsed) {
    outcome.parts.input = input_time - outcome.elapsed;
    outcome.elapsed = input_time;
  }
  shown += outcome.elapsed;

  report.clear();
  for (std::size_t b = 0; b < input.collectives.size() && world > 1; ++b)
    report.push_back(bucket_report(input.collectives[b], static_cast<int>(b), lanes, compute, settings.library));
  return outcome;
}

void StepSimulation::Impl::record_phases(const StepInput& input, Time origin, std::vector<TimelineEvent>& records) {
  if (input.fold) engine.records() = unfolded(engine.records(), *input.fold, traced);
  for (const PhaseRecord& p : engine.records()) {
    const CollectivePlan& plan = *input.collectives[static_cast<std::size_t>(p.collective)].plan;
    records.push_back(
        {p.rank, Lane::Communication, input.step, OpKind::Allreduce,
         "bucket " + std::to_string(p.collective) + ": " + plan.phases[static_cast<std::size_t>(p.phase)].name(),
         p.begin - origin, p.end - origin, plan.bytes()});
  }
  engine.records().clear();
}

StepSimulation::StepSimulation(Fabric& fabric, const EngineSettings& settings, int world_size)
    : impl_(std::make_unique<Impl>(fabric, settings, world_size)) {}
StepSimulation::~StepSimulation() = default;

StepOutcome StepSimulation::run(const StepInput& input) {
  LOCKSTEP_EXPECTS(static_cast<int>(input.durations.size()) == impl_->world &&
                   input.durations.size() == input.factors.size());
  return impl_->run(input);
}

void StepSimulation::trace(std::vector<char> ranks) { impl_->traced = std::move(ranks); }

const std::vector<BucketReport>& StepSimulation::buckets() const { return impl_->report; }
std::uint64_t StepSimulation::digest() const { return impl_->queue.digest(); }
std::int64_t StepSimulation::events() const { return static_cast<std::int64_t>(impl_->queue.popped()); }
std::int64_t StepSimulation::messages() const { return impl_->engine.messages(); }

}  // namespace lockstep::sim
