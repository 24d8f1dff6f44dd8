#include "sim/step_simulation.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "core/base/error.hpp"
#include "core/plan/planner.hpp"
#include "sim/compute_lane.hpp"
#include "sim/sim_world.hpp"

namespace lockstep::sim {

Time next_tick(Time since_start, Time cycle) {
  if (cycle <= Time::zero()) return since_start;
  const std::int64_t c = cycle.picoseconds();
  return Time::picoseconds((since_start.picoseconds() + c - 1) / c * c);
}

namespace {
constexpr std::uint32_t kFlow = 0;
constexpr std::uint32_t kEngine = 1;  // two kinds
constexpr std::uint32_t kFull = 4;    // a bucket's gradients are complete on a rank
constexpr std::uint32_t kQueued = 5;  // the bucket is packed and may take its turn
constexpr std::uint32_t kKnown = 6;   // a collective of known length is over

/// What a rank computes before its first update, as positions on its lane: nominal time from the start of its step.
struct Prefix {
  struct Run {
    OpKind kind;  ///< Forward or Backward, as long as it lasts
    Time begin, end;
  };
  LaneWork work;
  std::vector<Time> full;       // by bucket: when its gradients are complete
  std::vector<int> full_order;  // buckets by `full`
  std::vector<Run> runs;
};

Prefix prefix_of(const StepProgram& program, const RankDurations& d) {
  std::vector<Time> end(program.ops.size());
  Prefix p;
  p.full.resize(program.buckets.buckets.size());
  Time t;
  for (const Op& op : program.ops) {
    const Time length = d.of_op[op.id.index()];
    if (op.kind == OpKind::Forward || op.kind == OpKind::Backward) {
      const LayerKind kind = program.graph->layer(op.layer).kind;
      p.work.add(length, kind != LayerKind::Conv && kind != LayerKind::Linear);
      if (p.runs.empty() || p.runs.back().kind != op.kind) p.runs.push_back({op.kind, t, t});
      t += length;
      p.runs.back().end = t;
      end[op.id.index()] = t;
    } else if (op.kind == OpKind::Allreduce) {
      Time full;
      for (OpId need : op.needs) full = std::max(full, end[need.index()]);
      p.full[op.bucket.index()] = full;
    }
  }
  for (std::size_t b = 0; b < p.full.size(); ++b) p.full_order.push_back(static_cast<int>(b));
  std::stable_sort(p.full_order.begin(), p.full_order.end(), [&](int a, int b) {
    return p.full[static_cast<std::size_t>(a)] < p.full[static_cast<std::size_t>(b)];
  });
  return p;
}

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
      : settings(s), world(n), network(queue, fabric.links(), kFlow), engine(queue, network, fabric, s, kEngine) {}

  StepOutcome run(const StepInput& input);
};

namespace {

/// The communication lanes of one step, and what they do to the compute lanes.
class CommunicationLanes {
 public:
  CommunicationLanes(EventQueue& queue, Network& network, CollectiveEngine& engine, const StepInput& input,
                     const LibrarySpec& library, std::vector<Time> starts, const std::vector<const Prefix*>& prefix,
                     std::vector<ComputeLane>& compute, const std::vector<int>& simulated, int world)
      : queue_(queue),
        network_(network),
        engine_(engine),
        input_(input),
        library_(library),
        starts_(std::move(starts)),
        prefix_(prefix),
        compute_(compute),
        simulated_(simulated),
        buckets_(static_cast<int>(input.collectives.size())) {
    const auto cells = static_cast<std::size_t>(world) * static_cast<std::size_t>(buckets_);
    full.resize(cells);
    begin.resize(cells);
    done.resize(cells);
    queued_.assign(cells, 0);
    next_.assign(static_cast<std::size_t>(world), 0);
    busy_.assign(static_cast<std::size_t>(world), 0);
    free_.resize(static_cast<std::size_t>(world));
    full_ranks_.assign(static_cast<std::size_t>(buckets_), 0);
    contended_ = input.gpu && std::any_of(input.collectives.begin(), input.collectives.end(),
                                          [](const CollectiveChoice& c) { return !c.load.none(); });
    load_.resize(static_cast<std::size_t>(world));
    awaited_.assign(static_cast<std::size_t>(world), 0);
    version_.assign(static_cast<std::size_t>(world), 0);
    if (world > 1) {
      engine_.fold(input.fold.get());
      for (const auto& c : input.collectives) {
        if (!c.known) engine_.open(c.plan, c.protocol);
      }
    }
  }

  std::size_t cell(int rank, int bucket) const {
    return static_cast<std::size_t>(rank) * static_cast<std::size_t>(buckets_) + static_cast<std::size_t>(bucket);
  }

  /// Every bucket of the rank becomes full when its compute lane gets there.
  void start(int rank) {
    if (contended_) return expect_next(rank);
    for (int b = 0; b < buckets_; ++b) expect(rank, b);
  }

  void drain() {
    while (!queue_.empty()) {
      const Event event = queue_.pop();
      std::uint64_t token = 0;
      if (event.kind == kFlow) {
        if (network_.finish(event, token)) engine_.flow_ended(token);
      } else if (event.kind == kFull) {
        const int rank = static_cast<int>(event.a);
        if (event.b >> 32 != version_[event.a]) continue;  // the lane has changed its speed since
        on_full(rank, static_cast<int>(event.b & 0xffffffffu));
        if (contended_) {
          ++awaited_[event.a];
          expect_next(rank);
        }
      } else if (event.kind == kQueued) {
        queued_[cell(static_cast<int>(event.a), static_cast<int>(event.b))] = 1;
        take_turn(static_cast<int>(event.a));
        react(static_cast<int>(event.a));
      } else if (event.kind == kKnown) {
        engine_.finished().emplace_back(static_cast<int>(event.b), Rank(static_cast<int>(event.a)));
      } else {
        engine_.handle(event);
      }
      auto& finished = engine_.finished();
      for (std::size_t i = 0; i < finished.size(); ++i) {
        const auto [bucket, rank] = finished[i];
        done[cell(rank.value, bucket)] = queue_.now() + input_.collectives[static_cast<std::size_t>(bucket)].pack;
        --busy_[rank.index()];
        free_[rank.index()] = queue_.now();
        load_[rank.index()] -= input_.collectives[static_cast<std::size_t>(bucket)].load;
        take_turn(rank.value);
        react(rank.value);
      }
      finished.clear();
    }
    engine_.close_all();
  }

  std::vector<Time> full, begin, done;  // by (rank, bucket)

 private:
  void expect(int rank, int bucket) {
    const auto r = static_cast<std::size_t>(rank);
    const Time when = compute_[r].when(prefix_[r]->full[static_cast<std::size_t>(bucket)]);
    full[cell(rank, bucket)] = when;
    queue_.push(when, kFull, static_cast<std::uint32_t>(rank),
                std::uint64_t{version_[r]} << 32 | static_cast<std::uint64_t>(bucket));
  }

  void expect_next(int rank) {
    const auto r = static_cast<std::size_t>(rank);
    if (awaited_[r] < buckets_) expect(rank, prefix_[r]->full_order[static_cast<std::size_t>(awaited_[r])]);
  }

  /// The compute lane takes on the speed that the collectives now under way leave it.
  void react(int rank) {
    if (!contended_) return;
    const auto r = static_cast<std::size_t>(rank);
    if (!compute_[r].change(queue_.now(), slowdown(load_[r], *input_.gpu)) || awaited_[r] == buckets_) return;
    ++version_[r];
    expect_next(rank);
  }

  void on_full(int rank, int bucket) {
    const Coordination& c = input_.program->buckets.coordination;
    if (!c.negotiated) {
      const Time start = starts_[static_cast<std::size_t>(rank)];
      enqueue(rank, bucket, start + next_tick(queue_.now() - start, c.cycle));
    } else if (++full_ranks_[static_cast<std::size_t>(bucket)] == static_cast<int>(simulated_.size())) {
      const Time first = *std::min_element(starts_.begin(), starts_.end());
      const Time go = first + next_tick(queue_.now() - first, c.cycle) + library_.negotiate.value;
      for (int r : simulated_) enqueue(r, bucket, go);
    }
  }

  void enqueue(int rank, int bucket, Time agreed) {
    queue_.push(agreed + input_.collectives[static_cast<std::size_t>(bucket)].pack + library_.launch.value, kQueued,
                static_cast<std::uint32_t>(rank), static_cast<std::uint64_t>(bucket));
  }

  void take_turn(int rank) {
    const auto r = static_cast<std::size_t>(rank);
    while (busy_[r] < input_.in_flight && next_[r] < buckets_ && queued_[cell(rank, next_[r])]) {
      const int bucket = next_[r]++;
      ++busy_[r];
      begin[cell(rank, bucket)] = queue_.now();
      load_[r] += input_.collectives[static_cast<std::size_t>(bucket)].load;
      if (const auto& known = input_.collectives[static_cast<std::size_t>(bucket)].known) {
        const Time length = known(full[cell(rank, bucket)] - starts_[r], std::max(starts_[r], free_[r]) - starts_[r]);
        queue_.push(queue_.now() + length, kKnown, static_cast<std::uint32_t>(rank),
                    static_cast<std::uint64_t>(bucket));
      } else {
        engine_.enter(bucket, Rank(rank));
      }
    }
  }

  EventQueue& queue_;
  Network& network_;
  CollectiveEngine& engine_;
  const StepInput& input_;
  const LibrarySpec& library_;
  std::vector<Time> starts_;
  const std::vector<const Prefix*>& prefix_;
  std::vector<ComputeLane>& compute_;
  const std::vector<int>& simulated_;
  int buckets_;
  bool contended_ = false;
  std::vector<KernelLoad> load_;        // by rank: of its collectives under way
  std::vector<int> awaited_;            // by rank: place in full_order of the bucket that is filled next
  std::vector<std::uint32_t> version_;  // by rank: changes of speed so far; older expectations are void
  std::vector<char> queued_;
  std::vector<Time> free_;  // by rank: since when its lane has nothing under way
  std::vector<int> busy_, next_, full_ranks_;
};

}  // namespace

StepOutcome StepSimulation::Impl::run(const StepInput& input) {
  const StepProgram& program = *input.program;
  const int buckets = static_cast<int>(input.collectives.size());
  const auto ranks = static_cast<std::size_t>(world);
  const Time base = queue.now();
  for (std::size_t i = 0; input.capacities && i < input.capacities->size(); ++i)
    network.set_capacity(static_cast<std::int32_t>(input.first_capacity + i), (*input.capacities)[i]);

  std::vector<Time> start(ranks, base);
  Time latest_start = base;
  if (input.starts) {
    const Time origin = *std::min_element(input.starts->begin(), input.starts->end());
    for (std::size_t r = 0; r < ranks; ++r) start[r] = base + ((*input.starts)[r] - origin);
    latest_start = *std::max_element(start.begin(), start.end());
  }

  std::unordered_map<const RankDurations*, Prefix> prefixes;
  std::vector<const Prefix*> prefix(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    auto it = prefixes.find(input.durations[r]);
    if (it == prefixes.end()) it = prefixes.emplace(input.durations[r], prefix_of(program, *input.durations[r])).first;
    prefix[r] = &it->second;
  }

  engine.trace(watched(traced, input.fold.get()));
  std::vector<int> everyone(input.fold ? 0 : ranks);
  std::iota(everyone.begin(), everyone.end(), 0);
  const std::vector<int>& simulated = input.fold ? input.fold->simulated : everyone;
  const auto stands_for = [&](int rank) {
    return input.fold ? input.fold->representative[static_cast<std::size_t>(rank)] : rank;
  };
  std::vector<ComputeLane> compute;
  compute.reserve(ranks);
  for (std::size_t r = 0; r < ranks; ++r) compute.emplace_back(prefix[r]->work, start[r], input.factors[r]);
  CommunicationLanes lanes(queue, network, engine, input, settings.library, start, prefix, compute, simulated, world);
  if (world > 1) {
    for (int r : simulated) lanes.start(r);
    lanes.drain();
  }

  const auto lane_of = [&](std::size_t r) -> const ComputeLane& {
    return compute[static_cast<std::size_t>(stands_for(static_cast<int>(r)))];
  };
  // Compute lanes after backward: each update waits for the buckets that it needs.
  std::vector<Time> backward_end(ranks), end(ranks);
  for (std::size_t r = 0; r < ranks; ++r) backward_end[r] = lane_of(r).when(prefix[r]->work.end());
  const Time last_backward = *std::max_element(backward_end.begin(), backward_end.end());

  std::vector<const Op*> update_ops;
  for (const Op& op : program.ops) {
    if (op.kind == OpKind::Update) update_ops.push_back(&op);
  }
  StepOutcome outcome;
  Breakdown sum;
  const auto to_shown = [&](Time t) { return t - latest_start + shown; };
  for (std::size_t r = 0; r < ranks; ++r) {
    Time t = backward_end[r], wait, update;
    const double f = input.factors[r];
    const bool record = r < traced.size() && traced[r];
    std::vector<std::pair<const Op*, Time>> updates;
    for (const Op* update_op : update_ops) {
      const Op& op = *update_op;
      Time ready = t;
      if (world > 1) {
        for (OpId need : op.needs) {
          const Op& n = program.ops[need.index()];
          if (n.kind == OpKind::Allreduce)
            ready = std::max(ready, lanes.done[lanes.cell(stands_for(static_cast<int>(r)), n.bucket.value)]);
        }
      }
      wait += ready - t;
      const Time length = input.durations[r]->of_op[op.id.index()] * f;
      t = ready + length;
      update += length;
      if (record) updates.emplace_back(&op, ready);
    }
    end[r] = t;
    const Time straggler = std::min(wait, last_backward - backward_end[r]);
    for (const Prefix::Run& run : prefix[r]->runs) {
      (run.kind == OpKind::Forward ? sum.forward : sum.backward) +=
          lane_of(r).when(run.end) - lane_of(r).when(run.begin);
    }
    sum.straggler += straggler;
    sum.exposed += wait - straggler;
    sum.update += update;

    if (record) {
      Time at;  // position on the lane
      const auto add = [&](const Op& op, Time begin, Time stop, Bytes bytes) {
        outcome.records.push_back({Rank(static_cast<std::int64_t>(r)), op.lane, input.step, op.kind, program.name(op),
                                   to_shown(begin), to_shown(stop), bytes});
      };
      for (const Op& op : program.ops) {
        const Time length = input.durations[r]->of_op[op.id.index()];
        if (op.kind == OpKind::Load) add(op, start[r], start[r] + length, Bytes(0));
        if (op.kind == OpKind::Forward || op.kind == OpKind::Backward) {
          add(op, lane_of(r).when(at), lane_of(r).when(at + length), Bytes(0));
          at += length;
        }
        if (op.kind == OpKind::Allreduce && world > 1) {
          const auto c = lanes.cell(stands_for(static_cast<int>(r)), op.bucket.value);
          // Unpacking runs on a stream of its own, beside the next collective.
          const Time unpack = input.collectives[op.bucket.index()].pack;
          add(op, lanes.begin[c], lanes.done[c] - unpack, program.buckets.buckets[op.bucket.index()].bytes());
        }
      }
      for (const auto& [op, begin] : updates)
        add(*op, begin, begin + input.durations[r]->of_op[op->id.index()] * f, Bytes(0));
    }
  }
  if (input.fold) engine.records() = unfolded(engine.records(), *input.fold, traced);
  for (const PhaseRecord& p : engine.records()) {
    const auto& plan = *input.collectives[static_cast<std::size_t>(p.collective)].plan;
    outcome.records.push_back(
        {p.rank, Lane::Communication, input.step, OpKind::Allreduce,
         "bucket " + std::to_string(p.collective) + ": " + plan.phases[static_cast<std::size_t>(p.phase)].name(),
         to_shown(p.begin), to_shown(p.end), plan.bytes()});
  }
  engine.records().clear();

  const Time latest_end = *std::max_element(end.begin(), end.end());
  outcome.elapsed = latest_end - latest_start;
  outcome.parts = sum / static_cast<double>(world);
  outcome.parts.straggler += outcome.elapsed - outcome.parts.total();  // mean against slowest
  Time input_time;
  for (const auto* d : input.durations) input_time = std::max(input_time, d->input);
  if (input_time > outcome.elapsed) {
    outcome.parts.input = input_time - outcome.elapsed;
    outcome.elapsed = input_time;
  }
  shown += outcome.elapsed;
  if (input.starts) {
    for (std::size_t r = 0; r < ranks; ++r) (*input.starts)[r] = end[r] - base;
  }

  report.clear();
  for (int b = 0; b < buckets && world > 1; ++b) {
    BucketReport row;
    const auto& choice = input.collectives[static_cast<std::size_t>(b)];
    row.bucket = BucketId(b);
    row.bytes = choice.plan->bytes();
    row.algorithm = to_text(choice.plan->algorithm);
    row.protocol = settings.library.protocols[static_cast<std::size_t>(choice.protocol)].name;
    double ready = 0, begin = 0;
    Time last;
    for (int r = 0; r < world; ++r) {
      const auto c = lanes.cell(stands_for(r), b);
      ready += (lanes.full[c] - latest_start).seconds();
      begin += (lanes.begin[c] - latest_start).seconds();
      last = std::max(last, lanes.done[c] - latest_start);
    }
    row.ready = Time::seconds(ready / world);
    row.begin = Time::seconds(begin / world);
    row.end = last;
    report.push_back(std::move(row));
  }
  return outcome;
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

std::vector<BucketReport> StepSimulation::buckets() const { return impl_->report; }
std::uint64_t StepSimulation::digest() const { return impl_->queue.digest(); }
std::int64_t StepSimulation::events() const { return static_cast<std::int64_t>(impl_->queue.popped()); }
std::int64_t StepSimulation::messages() const { return impl_->engine.messages(); }

}  // namespace lockstep::sim
