#include "sim/step_simulation.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "core/base/error.hpp"
#include "core/plan/planner.hpp"
#include "sim/sim_world.hpp"

namespace lockstep::sim {

namespace {
constexpr std::uint32_t kFlow = 0;
constexpr std::uint32_t kEngine = 1;  // three kinds
constexpr std::uint32_t kFull = 4;    // a bucket's gradients are complete on a rank
constexpr std::uint32_t kQueued = 5;  // the bucket is packed and may take its turn
constexpr std::uint32_t kKnown = 6;   // a collective of known length is over

/// Ends of the compute operations before the first update, counted from the start of the rank's step at factor 1.
struct Prefix {
  std::vector<Time> full;  // by bucket: when its gradients are complete
  Time forward, backward, end;
};

Prefix prefix_of(const StepProgram& program, const RankDurations& d) {
  std::vector<Time> end(program.ops.size());
  Prefix p;
  p.full.resize(program.buckets.buckets.size());
  Time t;
  for (const Op& op : program.ops) {
    const Time length = d.of_op[op.id.index()];
    if (op.kind == OpKind::Forward || op.kind == OpKind::Backward) {
      t += length;
      (op.kind == OpKind::Forward ? p.forward : p.backward) += length;
      end[op.id.index()] = t;
    } else if (op.kind == OpKind::Allreduce) {
      Time full;
      for (OpId need : op.needs) full = std::max(full, end[need.index()]);
      p.full[op.bucket.index()] = full;
    }
  }
  p.end = t;
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

Time next_tick(Time since_start, Time cycle) {
  if (cycle <= Time::zero()) return since_start;
  const std::int64_t c = cycle.picoseconds();
  return Time::picoseconds((since_start.picoseconds() + c - 1) / c * c);
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

/// The communication lanes of one step.
class CommunicationLanes {
 public:
  CommunicationLanes(EventQueue& queue, Network& network, CollectiveEngine& engine, const StepInput& input,
                     const LibrarySpec& library, std::vector<Time> starts, const std::vector<int>& simulated, int world)
      : queue_(queue),
        network_(network),
        engine_(engine),
        input_(input),
        library_(library),
        starts_(std::move(starts)),
        simulated_(simulated),
        world_(world),
        buckets_(static_cast<int>(input.collectives.size())) {
    const auto cells = static_cast<std::size_t>(world) * static_cast<std::size_t>(buckets_);
    full.resize(cells);
    begin.resize(cells);
    done.resize(cells);
    queued_.assign(cells, 0);
    next_.assign(static_cast<std::size_t>(world), 0);
    busy_.assign(static_cast<std::size_t>(world), 0);
    full_ranks_.assign(static_cast<std::size_t>(buckets_), 0);
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

  void add(int rank, int bucket, Time when) {
    full[cell(rank, bucket)] = when;
    queue_.push(when, kFull, static_cast<std::uint32_t>(rank), static_cast<std::uint64_t>(bucket));
  }

  void drain() {
    while (!queue_.empty()) {
      const Event event = queue_.pop();
      std::uint64_t token = 0;
      if (event.kind == kFlow) {
        if (network_.finish(event, token)) engine_.flow_ended(token);
      } else if (event.kind == kFull) {
        on_full(static_cast<int>(event.a), static_cast<int>(event.b));
      } else if (event.kind == kQueued) {
        queued_[cell(static_cast<int>(event.a), static_cast<int>(event.b))] = 1;
        take_turn(static_cast<int>(event.a));
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
        take_turn(rank.value);
      }
      finished.clear();
    }
    engine_.close_all();
  }

  std::vector<Time> full, begin, done;  // by (rank, bucket)

 private:
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
      if (const auto& known = input_.collectives[static_cast<std::size_t>(bucket)].known) {
        queue_.push(queue_.now() + *known, kKnown, static_cast<std::uint32_t>(rank),
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
  const std::vector<int>& simulated_;
  int world_, buckets_;
  std::vector<char> queued_;
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
  CommunicationLanes lanes(queue, network, engine, input, settings.library, start, simulated, world);
  if (world > 1) {
    for (int r : simulated) {
      for (int b = 0; b < buckets; ++b) {
        lanes.add(r, b,
                  start[static_cast<std::size_t>(r)] +
                      prefix[static_cast<std::size_t>(r)]->full[static_cast<std::size_t>(b)] *
                          input.factors[static_cast<std::size_t>(r)]);
      }
    }
    lanes.drain();
  }

  // Compute lanes after backward: each update waits for the buckets that it needs.
  std::vector<Time> backward_end(ranks), end(ranks);
  for (std::size_t r = 0; r < ranks; ++r) backward_end[r] = start[r] + prefix[r]->end * input.factors[r];
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
    sum.forward += prefix[r]->forward * f;
    sum.backward += prefix[r]->backward * f;
    sum.straggler += straggler;
    sum.exposed += wait - straggler;
    sum.update += update;

    if (record) {
      Time at = start[r];
      const auto add = [&](const Op& op, Time begin, Time stop, Bytes bytes) {
        outcome.records.push_back({Rank(static_cast<std::int64_t>(r)), op.lane, input.step, op.kind, program.name(op),
                                   to_shown(begin), to_shown(stop), bytes});
      };
      for (const Op& op : program.ops) {
        const Time length = input.durations[r]->of_op[op.id.index()];
        if (op.kind == OpKind::Load) add(op, start[r], start[r] + length, Bytes(0));
        if (op.kind == OpKind::Forward || op.kind == OpKind::Backward) {
          add(op, at, at + length * f, Bytes(0));
          at += length * f;
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
