#include "real/world/real_world.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "real/checkpoint/checkpoint.hpp"
#include "real/data/loader.hpp"
#include "real/data/order.hpp"
#include "real/tensors/initialise.hpp"
#include "real/tensors/norm_statistics.hpp"
#include "real/world/image_feed.hpp"
#include "real/world/snapshot.hpp"

namespace lockstep {

namespace {

constexpr std::int64_t kEvaluationBatch = 250;   // most images of an evaluation pass
constexpr std::int64_t kRecomputedBatches = 50;  // micro-batches of a rank whose statistics are averaged by "recompute"
constexpr std::int64_t kAhead = 3;               // batches of an evaluation that are made ready ahead of the one in use

std::int64_t epoch_of(double epoch) { return static_cast<std::int64_t>(std::floor(epoch + 1e-9)); }

}  // namespace

struct RealWorld::Impl {
  explicit Impl(RealWorldSettings s)
      : settings(std::move(s)),
        run(settings.run),
        transport(*settings.transport),
        rank(transport.rank()),
        recorder(Rank(rank), settings.traced),
        device(settings.device({&run, &transport, &recorder})) {
    if (!settings.checkpoints.empty()) store.emplace(settings.checkpoints, run.training.checkpoint_keep);
  }

  /// Images of an equal share of a micro-step.
  std::int64_t micro_batch(const StepProgram& program) const {
    return std::max<std::int64_t>(1, run.training.global_batch / transport.size() / program.accumulation);
  }

  void report_broken(const Loader& from) {
    for (const std::string& name : from.broken()) {
      if (!named.insert(name).second || !settings.warn) continue;
      settings.warn(fmt::format("broken image skipped: {} ({} so far on this rank)", name, named.size()));
    }
  }

  /// A broken image that ends the run is known to this rank alone.
  template <class Work>
  auto alone(Work&& work) {
    try {
      return work();
    } catch (const ConfigError& e) {
      if (transport.size() == 1) throw;
      throw BackendError(fmt::format("rank {} (host {}): {}", rank, transport.host(rank), e.what()));
    }
  }

  /// Ranks that begin with different weights would never agree again.
  void check_equal(const std::vector<float>& weights) {
    Digest digest;
    for (const float w : weights) digest.add(static_cast<std::uint64_t>(std::bit_cast<std::uint32_t>(w)));
    const auto all = transport.gather(fmt::format("{:016x}", digest.value()));
    for (std::size_t r = 0; r < all.size(); ++r) {
      if (all[r] != all[0])
        throw BackendError(
            fmt::format("rank {} (host {}) drew other initial weights than rank 0 (host {}); with "
                        "training.initialization = \"broadcast\" rank 0 sends its own",
                        r, transport.host(static_cast<int>(r)), transport.host(0)));
    }
  }

  /// One small exchange: all ranks see the same loss and stop after the same step. False: stop.
  bool exchange(const StepArgs& args, bool go_on, StepResult& result, Breakdown& parts) {
    const StepOutcome mine = device->result();
    parts += mine.parts;
    const double values[] = {mine.sums.loss, static_cast<double>(mine.sums.counted), go_on ? 0.0 : 1.0};
    const std::vector<double> sums = sum_over_ranks(transport, values);
    const double loss = sums[0] / std::max(1.0, sums[1]);
    if (!std::isfinite(loss))
      throw Diverged(args.step,
                     fmt::format("the loss became {} at step {} (rate {:g}); the last good checkpoint is {}; "
                                 "expected a lower rate or a longer warm-up",
                                 loss, args.step, args.lr, last_checkpoint.empty() ? "none" : last_checkpoint));
    result.loss = Figure::exactly(loss);
    result.loss_scale = mine.loss_scale;
    result.skipped += mine.skipped ? 1 : 0;
    return sums[2] == 0;
  }

  // ---- evaluation ----

  /// The moving averages that the evaluation uses, equal on all ranks.
  std::vector<float> agreed_statistics(const StepProgram& program, std::int64_t epoch) {
    std::vector<float> mine = run.training.norm_statistics == NormAverages::Recompute
                                  ? recomputed_statistics(program, epoch)
                                  : device->state().statistics;
    if (run.training.norm_statistics == NormAverages::Rank0) {
      transport.broadcast(std::as_writable_bytes(std::span(mine)), 0);
      return mine;
    }
    const std::vector<double> wide(mine.begin(), mine.end());
    const std::vector<double> sums = sum_over_ranks(transport, wide);
    for (std::size_t i = 0; i < mine.size(); ++i) mine[i] = static_cast<float>(sums[i] / transport.size());
    return mine;
  }

  /// Plain means of the batch statistics over training images without augmentation, with the weights as they are.
  std::vector<float> recomputed_statistics(const StepProgram& program, std::int64_t epoch) {
    const std::int64_t batch = micro_batch(program), all = run.data.training_images;
    const Span share = part({0, all}, rank, transport.size());
    const std::int64_t batches = std::clamp<std::int64_t>(share.length / batch, 1, kRecomputedBatches);
    Loader images(*settings.training, loader_options(run, graph->input(), device->image_form()));
    const auto shuffled = epoch_order(run.training.seed, epoch, all);
    std::vector<double> sums(NormStatistics(*graph).values().size(), 0.0);
    for (std::int64_t b = 0; b < batches; ++b) {
      BatchRequest request{b, epoch, true, false, {}};
      for (std::int64_t i = 0; i < batch; ++i)
        request.samples.push_back(shuffled[static_cast<std::size_t>((share.begin + b * batch + i) % all)]);
      images.request(std::move(request));
      Batch ready = alone([&] { return images.next(); });
      const std::vector<float> one = device->statistics_of(ready);
      images.recycle(std::move(ready));
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += one[i];
    }
    std::vector<float> out;
    out.reserve(sums.size());
    for (const double s : sums) out.push_back(static_cast<float>(s / static_cast<double>(batches)));
    return out;
  }

  BatchResult evaluate_share(Span share, std::int64_t batch) {
    Loader images(*settings.validation, loader_options(run, graph->input(), device->image_form()));
    const auto request = [&](std::int64_t first) {
      BatchRequest r{first, 0, false, false, {}};
      for (std::int64_t k = first; k < std::min(share.length, first + batch); ++k) r.samples.push_back(share.begin + k);
      images.request(std::move(r));
    };
    BatchResult sums;
    std::int64_t asked = 0;
    for (std::int64_t first = 0; first < share.length; first += batch) {
      for (; asked < share.length && asked <= first + kAhead * batch; asked += batch) request(asked);
      Batch ready = alone([&] { return images.next(); });
      sums += device->evaluate(ready);
      images.recycle(std::move(ready));
    }
    report_broken(images);
    return sums;
  }

  // ---- checkpoints ----

  /// Rank 0 reads; its disk may be the only one that has the file. Faults are agreed upon.
  Checkpoint read(const std::string& id) {
    Checkpoint c;
    std::string fault;
    if (rank == 0) {
      try {
        std::string name = id;
        if (id == "newest") {
          auto newest = store->newest();
          for (const auto& why : newest.refused) {
            if (settings.warn) settings.warn("checkpoint not used: " + why);
          }
          c = std::move(newest.checkpoint);
          name = newest.id;
        } else {
          c = read_checkpoint(store->path_of(id));
        }
        last_checkpoint = store->path_of(name).string();
        expect_snapshot_of(c, last_checkpoint, *graph, run.training.seed);
      } catch (const ConfigError& e) {
        fault = e.what();
      }
    }
    fault = transport.gather(fault)[0];
    if (!fault.empty()) throw ConfigError("resume", "", fault);
    last_checkpoint = transport.gather(last_checkpoint)[0];
    return c;
  }

  RealWorldSettings settings;
  const RunSpec& run;
  Transport& transport;
  int rank;
  Recorder recorder;
  std::unique_ptr<Device> device;
  std::shared_ptr<const ModelGraph> graph;
  std::optional<ImageFeed> feed;
  std::vector<StepArgs> coming;
  std::set<std::string> named;  // broken images
  std::optional<CheckpointStore> store;
  std::string last_checkpoint;
};

RealWorld::RealWorld(RealWorldSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
RealWorld::~RealWorld() = default;

WorldInfo RealWorld::info() const {
  const Impl& i = *impl_;
  const std::string ranks =
      i.transport.size() == 1 ? "1 rank" : fmt::format("{} ranks ({})", i.transport.size(), i.transport.description());
  return {i.device->kind(), i.transport.size(),
          fmt::format("{} of {}; {}", ranks, i.device->description(), i.settings.training->description())};
}

Time RealWorld::now() const { return impl_->recorder.now(); }

std::vector<std::string> RealWorld::choices() const { return impl_->device->choices(); }

void RealWorld::prepare(const RunPlan& plan) {
  Impl& i = *impl_;
  i.graph = plan.graph;
  TensorSet weights(*i.graph);
  initialise(*i.graph, plan.seed, i.run.training, weights);
  if (i.run.training.initialization == Initialization::Broadcast)
    i.transport.broadcast(std::as_writable_bytes(weights.all()), 0);
  ModelState initial{{weights.all().begin(), weights.all().end()}, {}, NormStatistics(*i.graph).values(), {}};
  initial.velocity.resize(initial.weights.size(), 0.0f);
  i.check_equal(initial.weights);
  i.device->prepare(i.graph, initial);
  i.feed.emplace(i.run, *i.settings.training, i.graph->input(), i.device->image_form(), Rank(i.rank));
}

void RealWorld::upcoming(std::span<const StepArgs> steps) { impl_->coming.assign(steps.begin(), steps.end()); }

StepResult RealWorld::run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) {
  Impl& i = *impl_;
  i.feed->plan(program, steps, i.coming);
  StepResult result;
  Breakdown parts;
  const Time begin = i.recorder.now();
  std::size_t seen = 0;  // steps whose loss is known
  bool go_on = true, mine = true;
  for (std::size_t k = 0; k < steps.size() && go_on; ++k) {
    i.alone([&] { i.device->step(program, steps[k], *i.feed); });
    ++result.steps;
    result.images += steps[k].images;
    mine = !observer || observer(result.steps, i.recorder.now());
    for (; seen + static_cast<std::size_t>(i.device->steps_ahead()) <= k; ++seen)
      go_on = i.exchange(steps[seen], mine, result, parts) && go_on;
  }
  for (; seen < static_cast<std::size_t>(result.steps); ++seen)
    go_on = i.exchange(steps[seen], mine, result, parts) && go_on;
  result.stopped = !go_on;
  i.report_broken(i.feed->loader());
  const double elapsed[] = {(i.recorder.now() - begin).seconds()};
  result.elapsed = Time::seconds(max_over_ranks(i.transport, elapsed)[0]);
  const double lengths[] = {parts.input.seconds(),   parts.forward.seconds(),   parts.backward.seconds(),
                            parts.exposed.seconds(), parts.straggler.seconds(), parts.update.seconds()};
  const std::vector<double> sums = sum_over_ranks(i.transport, lengths);
  const auto mean = [&](std::size_t k) {
    return Time::seconds(sums[k] / i.transport.size() / static_cast<double>(result.steps));
  };
  result.parts = {mean(0), mean(1), mean(2), mean(3), mean(4), mean(5)};
  return result;
}

EvalResult RealWorld::evaluate(const StepProgram& program, const EvalArgs& args) {
  Impl& i = *impl_;
  const Time begin = i.recorder.now();
  const std::int64_t batch = std::min(kEvaluationBatch, i.micro_batch(program));
  i.device->begin_evaluation(i.agreed_statistics(program, epoch_of(args.epoch)), batch);
  const BatchResult mine = i.evaluate_share(part({0, args.images}, i.rank, i.transport.size()), batch);
  const double values[] = {mine.loss, static_cast<double>(mine.correct), static_cast<double>(mine.counted)};
  const std::vector<double> all = sum_over_ranks(i.transport, values);
  EvalResult result;
  if (all[2] > 0) {
    result.loss = Figure::exactly(all[0] / all[2]);
    result.top1 = Figure::exactly(100 * all[1] / all[2]);
  }
  const double elapsed[] = {(i.recorder.now() - begin).seconds()};
  result.elapsed = Time::seconds(max_over_ranks(i.transport, elapsed)[0]);
  return result;
}

void RealWorld::save(const std::string& id, const LoopState& state) {
  Impl& i = *impl_;
  if (!i.store) return;
  const Checkpoint c = gather_snapshot(i.transport, *i.graph, i.run.training.seed, i.device->state(), state);
  std::string failure;
  if (i.rank == 0) {
    try {
      i.store->save(id, c);
    } catch (const BackendError& e) {
      failure = e.what();
    }
  }
  failure = i.transport.gather(failure)[0];
  if (!failure.empty()) throw BackendError(failure);
  i.last_checkpoint = i.store->path_of(id).string();
}

LoopState RealWorld::restore(const std::string& id) {
  Impl& i = *impl_;
  LOCKSTEP_EXPECTS(i.store.has_value());
  const Checkpoint c = i.read(id);
  ModelState state = i.device->state();  // for its sizes
  const Restored restored = scatter_snapshot(i.transport, c, state);
  if (restored.ranks != i.transport.size() && i.rank == 0 && i.settings.warn)
    i.settings.warn(fmt::format(
        "the checkpoint was written by {} ranks, this run has {}: batch-norm averages start from the mean over ranks",
        restored.ranks, i.transport.size()));
  i.device->set_state(state);
  return restored.loop;
}

bool RealWorld::any(bool mine) {
  const double values[] = {mine ? 1.0 : 0.0};
  return sum_over_ranks(impl_->transport, values)[0] > 0;
}

Timeline RealWorld::timeline(std::span<const Rank> ranks, std::span<const std::int64_t> steps) const {
  Timeline out;
  for (const std::string& bytes : impl_->transport.gather(pack_events(impl_->recorder.events()))) {
    for (TimelineEvent& e : unpack_events(bytes)) {
      if (std::find(ranks.begin(), ranks.end(), e.rank) != ranks.end() &&
          std::find(steps.begin(), steps.end(), e.step) != steps.end())
        out.events.push_back(std::move(e));
    }
  }
  std::stable_sort(out.events.begin(), out.events.end(), [](const auto& a, const auto& b) {
    return std::tie(a.rank, a.lane, a.begin) < std::tie(b.rank, b.lane, b.begin);
  });
  return out;
}

}  // namespace lockstep
