#include "real/cpu_world.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/optim/optimizer.hpp"
#include "real/checkpoint/checkpoint.hpp"
#include "real/comm/communication_lane.hpp"
#include "real/cpu/initialise.hpp"
#include "real/cpu/network.hpp"
#include "real/cpu/tensor_set.hpp"
#include "real/data/loader.hpp"
#include "real/data/order.hpp"

namespace lockstep {

namespace {

constexpr std::int64_t kEvaluationBatch = 250;   // most images of an evaluation pass
constexpr std::int64_t kRecomputedBatches = 50;  // micro-batches of a rank whose statistics are averaged by "recompute"
constexpr std::int64_t kAhead = 3;               // micro-batches that are made ready ahead of the one in use

std::vector<TensorId> bucket_order(const StepProgram& program) {
  std::vector<TensorId> order;
  for (const Bucket& bucket : program.buckets.buckets)
    order.insert(order.end(), bucket.tensors.begin(), bucket.tensors.end());
  return order;
}

/// What must be equal for a checkpoint to fit a model.
std::string shape_of(const ModelGraph& graph) {
  Digest d;
  for (const ParamTensor& t : graph.tensors) {
    d.add(t.name);
    for (const std::int64_t n : t.dims) d.add(static_cast<std::uint64_t>(n));
  }
  return fmt::format("{} with {} tensors, {} parameters, shapes {:016x}", graph.name, graph.tensors.size(),
                     graph.parameters(), d.value());
}

std::span<std::byte> bytes_of(std::span<float> values) { return std::as_writable_bytes(values); }

}  // namespace

/// A micro-batch of this rank that will be needed.
struct MicroBatch {
  std::int64_t id = 0, epoch = 0;
  bool augment = true;
  Span positions;  ///< in the epoch's order
  bool operator==(const MicroBatch&) const = default;
};

struct CpuWorld::Impl {
  explicit Impl(CpuWorldSettings s)
      : settings(std::move(s)),
        run(settings.run),
        transport(*settings.transport),
        rank(transport.rank()),
        recorder(Rank(rank), settings.traced),
        lane(transport, run.allreduce.in_flight, run.real.timeout) {
    threads = run.real.threads > 0 ? run.real.threads : share_of_cores();
    if (!settings.checkpoints.empty()) store.emplace(settings.checkpoints, run.training.checkpoint_keep);
  }

  /// The cores of this host, shared among its ranks.
  int share_of_cores() const {
    int local = 0;
    for (int r = 0; r < transport.size(); ++r) local += transport.host(r) == transport.host(rank) ? 1 : 0;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / local);
  }

  // ---- data ----

  LoaderOptions loader_options() const {
    LoaderOptions o;
    o.recipe = recipe_of(run.data.kind, run.data.augmentation);
    o.shape = graph->input();
    o.seed = run.training.seed;
    o.threads = run.data.threads;
    o.on_broken = run.data.broken == "skip" ? OnBroken::Skip : OnBroken::Fail;
    return o;
  }

  MicroBatch micro_batch(const StepProgram& program, const StepArgs& args, int micro) const {
    const Span part = images_of_micro_step(program, args.images, Rank(rank), micro);
    return {args.step * program.accumulation + micro,
            static_cast<std::int64_t>(std::floor(args.epoch + 1e-9)),
            args.augment,
            {args.first_sample + part.begin, part.length}};
  }

  /// Asks the loader for what comes next, a few micro-batches ahead.
  void ask_ahead() {
    while (!planned.empty() && loader->outstanding() < kAhead + 1) {
      const MicroBatch m = planned.front();
      planned.pop_front();
      if (m.epoch != order_epoch) {
        order = epoch_order(run.training.seed, m.epoch, run.data.training_images);
        order_epoch = m.epoch;
      }
      BatchRequest request{m.id, m.epoch, true, m.augment, {}};
      for (std::int64_t i = 0; i < m.positions.length; ++i)
        request.samples.push_back(order[static_cast<std::size_t>(m.positions.begin + i)]);
      loader->request(std::move(request));
      asked.push_back(m);
    }
  }

  /// A broken image that ends the run is known to this rank alone.
  Batch next_batch() {
    try {
      return loader->next();
    } catch (const ConfigError& e) {
      if (transport.size() == 1) throw;
      throw BackendError(fmt::format("rank {} (host {}): {}", rank, transport.host(rank), e.what()));
    }
  }

  /// Forgets what was planned but is not what comes (after a resume or an early stop).
  void plan(const StepProgram& program, std::span<const StepArgs> steps) {
    std::deque<MicroBatch> needed;
    const auto add = [&](const StepArgs& args) {
      for (int m = 0; m < program.accumulation; ++m) needed.push_back(micro_batch(program, args, m));
    };
    for (const StepArgs& args : steps) add(args);
    for (const StepArgs& args : coming) add(args);
    std::size_t kept = 0;
    while (kept < asked.size() && kept < needed.size() && asked[kept] == needed[kept]) ++kept;
    if (kept < asked.size()) {
      loader = std::make_unique<Loader>(*settings.training, loader_options());
      asked.clear();
      kept = 0;
    }
    needed.erase(needed.begin(), needed.begin() + static_cast<std::ptrdiff_t>(kept));
    planned = std::move(needed);
  }

  void report_broken(const Loader& from) {
    for (const std::string& name : from.broken()) {
      if (!named.insert(name).second) continue;
      if (settings.warn)
        settings.warn(fmt::format("broken image skipped: {} ({} so far on this rank)", name, named.size()));
    }
  }

  // ---- networks ----

  NetworkOptions network_options(NetworkMode mode) const {
    NetworkOptions o;
    o.mode = mode;
    o.precision = run.training.precision;
    o.threads = threads;
    o.deterministic = run.real.deterministic;
    o.label_smoothing = mode == NetworkMode::Training ? run.training.label_smoothing : 0;
    o.seed = run.training.seed;
    return o;
  }

  Network& training_network(std::int64_t images) {
    auto& slot = networks[images];
    if (!slot) {
      slot = std::make_unique<Network>(graph, images, network_options(NetworkMode::Training), *statistics);
      slot->load_weights(*weights);
    }
    return *slot;
  }

  void load_weights() {
    for (auto& [images, network] : networks) network->load_weights(*weights);
    evaluation_stale = true;
  }

  /// Gradient buffers in the order of the program's buckets: one, or one per micro-step where sums are ordered.
  std::vector<TensorSet>& gradients_for(const StepProgram& program) {
    const std::uint64_t digest = program.digest();
    if (digest != gradients_of) {
      gradients.clear();
      const int count = run.allreduce.reduction == "ordered" ? program.accumulation : 1;
      for (int i = 0; i < count; ++i) gradients.emplace_back(*graph, bucket_order(program));
      gradients_of = digest;
    }
    return gradients;
  }

  // ---- one step ----

  std::int64_t start_allreduce(const StepProgram& program, const Op& op, int filled) {
    const Bucket& bucket = program.buckets.buckets[op.bucket.index()];
    std::vector<std::span<float>> buffers;
    for (TensorSet& set : gradients) buffers.push_back(set.range(bucket.tensors));
    const CollectivePlan& collective = program.collectives[op.bucket.index()];
    const WireType wire = wire_type(wire_precision(run), bucket.element_bytes);
    Transport& t = transport;
    const std::string& how = run.allreduce.reduction;
    return lane.start("the " + program.name(op), [&t, &collective, buffers, wire, filled, how](std::uint32_t sequence) {
      if (how == "ordered") return run_ordered(buffers, filled, sequence, t);
      if (how == "mpi") return run_library(buffers[0], t);
      return run_planned(collective, sequence, buffers[0], wire, t);
    });
  }

  void update(const StepProgram& program, const Op& op, const StepArgs& args) {
    const StepValues values = step_values(run.optimizer, args.peak_lr, args.lr, args.weight_decay, args.momentum_scale);
    const auto divisor = static_cast<float>(args.images);
    const auto& tensors = program.updates[static_cast<std::size_t>(op.group)].tensors;
    const auto count = static_cast<std::int64_t>(tensors.size());
    // Tensors are shared among threads whole, so no sum depends on how many there are.
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (std::int64_t i = 0; i < count; ++i) {
      const TensorId id = tensors[static_cast<std::size_t>(i)];
      const std::span<float> gradient = gradients[0][id];
      for (float& g : gradient) g /= divisor;
      const ParamTensor& tensor = graph->tensor(id);
      update_tensor<float>(run.optimizer, tensor.role, graph->layer(tensor.layer).kind == LayerKind::Linear, values,
                           (*weights)[id], gradient, (*velocity)[id]);
    }
  }

  BatchResult step(const StepProgram& program, const StepArgs& args) {
    auto& grads = gradients_for(program);
    const bool ordered = run.allreduce.reduction == "ordered";
    recorder.begin_step(args.step);
    BatchResult sums;
    Network* network = nullptr;
    int filled = 0;  // micro-steps with images so far
    std::map<BucketId, std::int64_t> tickets;
    const auto timed = [&](const Op& op, auto&& work) {
      const Time begin = recorder.now();
      work();
      recorder.add(op.kind, op.lane, recorder.traced() ? program.name(op) : std::string(), begin, recorder.now());
    };
    for (const Op& op : program.ops) {
      switch (op.kind) {
        case OpKind::Load:
          timed(op, [&] {
            ask_ahead();
            LOCKSTEP_EXPECTS(!asked.empty() && asked.front() == micro_batch(program, args, op.micro));
            asked.pop_front();
            Batch batch = next_batch();
            const auto images = static_cast<std::int64_t>(batch.labels.size());
            network = images > 0 ? &training_network(images) : nullptr;
            if (network != nullptr) {
              std::copy(batch.images.begin(), batch.images.end(), network->input().begin());
              std::copy(batch.labels.begin(), batch.labels.end(), network->labels().begin());
              const Span part = images_of_micro_step(program, args.images, Rank(rank), op.micro);
              network->begin(args.step * args.images + part.begin);
              ++filled;
            }
            loader->recycle(std::move(batch));
            ask_ahead();
          });
          if (network == nullptr && op.micro == 0) std::fill(grads[0].all().begin(), grads[0].all().end(), 0.0f);
          break;
        case OpKind::Forward:
          if (network == nullptr) break;
          timed(op, [&] { network->forward(op.layer); });
          if (graph->layer(op.layer).kind == LayerKind::SoftmaxCrossEntropy) {
            const BatchResult r = network->result();
            sums.loss += r.loss;
            sums.correct += r.correct;
            sums.counted += r.counted;
          }
          break;
        case OpKind::Backward:
          if (network == nullptr) break;
          timed(op, [&] {
            network->backward(op.layer, grads[ordered ? static_cast<std::size_t>(op.micro) : 0],
                              !ordered && filled > 1);
          });
          break;
        case OpKind::Allreduce:
          if (transport.size() > 1 || ordered) tickets[op.bucket] = start_allreduce(program, op, filled);
          break;
        case OpKind::Update:
          for (const OpId need : op.needs) {
            const Op& before = program.ops[need.index()];
            const auto ticket = before.kind == OpKind::Allreduce ? tickets.find(before.bucket) : tickets.end();
            if (ticket == tickets.end()) continue;
            const Time begin = recorder.now();
            const auto times = lane.wait(ticket->second);
            recorder.add(OpKind::Allreduce, Lane::Compute, "", begin, recorder.now());
            recorder.add_beside(OpKind::Allreduce, Lane::Communication, program.name(before), recorder.at(times.begin),
                                recorder.at(times.end), program.buckets.buckets[before.bucket.index()].bytes());
            tickets.erase(ticket);
          }
          timed(op, [&] {
            update(program, op, args);
            if (op.id == program.ops.back().id) load_weights();
          });
          break;
      }
    }
    return sums;
  }

  // ---- evaluation ----

  /// The moving averages that the evaluation uses, equal on all ranks.
  std::vector<float> agreed_statistics(const StepProgram& program, std::int64_t epoch) {
    std::vector<float> mine = statistics->values();
    if (run.training.norm_statistics == "recompute") mine = recomputed_statistics(program, epoch);
    if (run.training.norm_statistics == "rank0") {
      transport.broadcast(bytes_of(mine), 0);
      return mine;
    }
    const std::vector<double> wide(mine.begin(), mine.end());
    const std::vector<double> sums = sum_over_ranks(transport, wide);
    for (std::size_t i = 0; i < mine.size(); ++i) mine[i] = static_cast<float>(sums[i] / transport.size());
    return mine;
  }

  /// Plain means of the batch statistics over training images without augmentation, with the weights as they are.
  std::vector<float> recomputed_statistics(const StepProgram& program, std::int64_t epoch) {
    const std::int64_t batch =
        std::max<std::int64_t>(1, run.training.global_batch / transport.size() / program.accumulation);
    const Span share = part({0, run.data.training_images}, rank, transport.size());
    const std::int64_t batches = std::clamp<std::int64_t>(share.length / batch, 1, kRecomputedBatches);
    NormStatistics fresh(*graph);
    NetworkOptions options = network_options(NetworkMode::Training);
    options.norm_momentum = 0;  // the average is that of the last batch
    Network network(graph, batch, options, fresh);
    network.load_weights(*weights);
    Loader images(*settings.training, loader_options());
    const auto shuffled = epoch_order(run.training.seed, epoch, run.data.training_images);
    std::vector<double> sums(fresh.values().size(), 0.0);
    for (std::int64_t b = 0; b < batches; ++b) {
      BatchRequest request{b, epoch, true, false, {}};
      for (std::int64_t i = 0; i < batch; ++i)
        request.samples.push_back(
            shuffled[static_cast<std::size_t>((share.begin + b * batch + i) % run.data.training_images)]);
      images.request(std::move(request));
      Batch ready = images.next();
      std::copy(ready.images.begin(), ready.images.end(), network.input().begin());
      std::copy(ready.labels.begin(), ready.labels.end(), network.labels().begin());
      images.recycle(std::move(ready));
      network.begin(0);
      for (const Layer& layer : graph->layers) network.forward(layer.id);
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += fresh.values()[i];
    }
    std::vector<float> out;
    for (const double s : sums) out.push_back(static_cast<float>(s / static_cast<double>(batches)));
    return out;
  }

  CpuWorldSettings settings;
  RunSpec run;
  Transport& transport;
  int rank;
  int threads = 1;
  Recorder recorder;
  std::shared_ptr<const ModelGraph> graph;
  std::optional<TensorSet> weights, velocity;
  std::vector<TensorSet> gradients;
  std::uint64_t gradients_of = 0;
  std::optional<NormStatistics> statistics, evaluation_statistics;
  std::map<std::int64_t, std::unique_ptr<Network>> networks;  // by micro-batch
  std::unique_ptr<Network> evaluation;
  bool evaluation_stale = true;
  std::unique_ptr<Loader> loader;
  std::deque<MicroBatch> planned, asked;
  std::vector<StepArgs> coming;
  std::vector<std::int32_t> order;
  std::int64_t order_epoch = -1;
  std::set<std::string> named;
  std::optional<CheckpointStore> store;
  std::string last_checkpoint;
  CommunicationLane lane;  // last: its thread uses the others
};

CpuWorld::CpuWorld(CpuWorldSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
CpuWorld::~CpuWorld() = default;

WorldInfo CpuWorld::info() const {
  const Impl& i = *impl_;
  const std::string ranks =
      i.transport.size() == 1 ? "1 rank" : fmt::format("{} ranks ({})", i.transport.size(), i.transport.description());
  return {"cpu", i.transport.size(),
          fmt::format("{} of {}; {}", ranks, processor_description(i.threads), i.settings.training->description())};
}

Time CpuWorld::now() const { return impl_->recorder.now(); }

void CpuWorld::prepare(const RunPlan& plan) {
  Impl& i = *impl_;
  i.graph = plan.graph;
  i.weights.emplace(*i.graph);
  i.velocity.emplace(*i.graph);
  i.statistics.emplace(*i.graph);
  i.evaluation_statistics.emplace(*i.graph);
  initialise(*i.graph, plan.seed, i.run.training.zero_gamma, *i.weights);
  if (i.run.training.initialization == "broadcast") i.transport.broadcast(bytes_of(i.weights->all()), 0);
  // Ranks that begin with different weights would never agree again.
  Digest digest;
  for (const float w : i.weights->all()) digest.add(static_cast<std::uint64_t>(std::bit_cast<std::uint32_t>(w)));
  const auto all = i.transport.gather(fmt::format("{:016x}", digest.value()));
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r] != all[0])
      throw BackendError(
          fmt::format("rank {} (host {}) drew other initial weights than rank 0 (host {}); with "
                      "training.initialization = \"broadcast\" rank 0 sends its own",
                      r, i.transport.host(static_cast<int>(r)), i.transport.host(0)));
  }
  i.loader = std::make_unique<Loader>(*i.settings.training, i.loader_options());
}

void CpuWorld::upcoming(std::span<const StepArgs> steps) { impl_->coming.assign(steps.begin(), steps.end()); }

StepResult CpuWorld::run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) {
  Impl& i = *impl_;
  i.plan(program, steps);
  StepResult result;
  Breakdown parts;
  const Time begin = i.recorder.now();
  for (const StepArgs& args : steps) {
    const BatchResult mine = i.step(program, args);
    ++result.steps;
    result.images += args.images;
    result.simulated_steps = result.steps;
    parts += i.recorder.parts();
    const bool go_on = !observer || observer(result.steps, i.recorder.now());
    // One small exchange per step: all ranks see the same loss and stop after the same step.
    const double values[] = {mine.loss, static_cast<double>(mine.counted), go_on ? 0.0 : 1.0};
    const std::vector<double> sums = sum_over_ranks(i.transport, values);
    const double loss = sums[0] / std::max(1.0, sums[1]);
    if (!std::isfinite(loss)) {
      throw ConfigError("run", "schedule.base_lr",
                        fmt::format("the loss became {} at step {} (rate {:g}); the last good checkpoint is {}; "
                                    "expected a lower rate or a longer warm-up",
                                    loss, args.step, args.lr, i.last_checkpoint.empty() ? "none" : i.last_checkpoint));
    }
    result.loss = Figure::exactly(loss);
    if (sums[2] > 0) break;
  }
  i.report_broken(*i.loader);
  const double mine[] = {(i.recorder.now() - begin).seconds()};
  result.elapsed = Time::seconds(max_over_ranks(i.transport, mine)[0]);
  const double lengths[] = {parts.input.seconds(), parts.forward.seconds(), parts.backward.seconds(),
                            parts.exposed.seconds(), parts.update.seconds()};
  const std::vector<double> sums = sum_over_ranks(i.transport, lengths);
  const auto mean = [&](std::size_t k) {
    return Time::seconds(sums[k] / i.transport.size() / static_cast<double>(result.steps));
  };
  result.parts = {mean(0), mean(1), mean(2), mean(3), Time::zero(), mean(4)};
  return result;
}

EvalResult CpuWorld::evaluate(const StepProgram& program, const EvalArgs& args) {
  Impl& i = *impl_;
  const Time begin = i.recorder.now();
  i.evaluation_statistics->values() =
      i.agreed_statistics(program, static_cast<std::int64_t>(std::floor(args.epoch + 1e-9)));
  const Span share = part({0, args.images}, i.rank, i.transport.size());
  const std::int64_t batch =
      std::min(kEvaluationBatch,
               std::max<std::int64_t>(1, i.run.training.global_batch / i.transport.size() / program.accumulation));
  if (!i.evaluation)
    i.evaluation =
        std::make_unique<Network>(i.graph, batch, i.network_options(NetworkMode::Evaluation), *i.evaluation_statistics);
  if (i.evaluation_stale) i.evaluation->load_weights(*i.weights);
  i.evaluation_stale = false;

  Loader images(*i.settings.validation, i.loader_options());
  const auto request = [&](std::int64_t first) {
    BatchRequest r{first, 0, false, false, {}};
    for (std::int64_t k = first; k < std::min(share.length, first + batch); ++k) r.samples.push_back(share.begin + k);
    images.request(std::move(r));
  };
  BatchResult sums;
  std::int64_t asked = 0;
  for (std::int64_t first = 0; first < share.length; first += batch) {
    for (; asked < share.length && asked <= first + kAhead * batch; asked += batch) request(asked);
    Batch ready = images.next();
    std::copy(ready.images.begin(), ready.images.end(), i.evaluation->input().begin());
    const auto labels = i.evaluation->labels();
    std::fill(labels.begin(), labels.end(), -1);  // the last batch is filled up with images that do not count
    std::copy(ready.labels.begin(), ready.labels.end(), labels.begin());
    images.recycle(std::move(ready));
    i.evaluation->begin(0);
    for (const Layer& layer : i.graph->layers) i.evaluation->forward(layer.id);
    const BatchResult r = i.evaluation->result();
    sums.loss += r.loss;
    sums.correct += r.correct;
    sums.counted += r.counted;
  }
  i.report_broken(images);
  const double mine[] = {sums.loss, static_cast<double>(sums.correct), static_cast<double>(sums.counted)};
  const std::vector<double> all = sum_over_ranks(i.transport, mine);
  EvalResult result;
  if (all[2] > 0) {
    result.loss = Figure::exactly(all[0] / all[2]);
    result.top1 = Figure::exactly(100 * all[1] / all[2]);
  }
  const double elapsed[] = {(i.recorder.now() - begin).seconds()};
  result.elapsed = Time::seconds(max_over_ranks(i.transport, elapsed)[0]);
  return result;
}

void CpuWorld::save(const std::string& id, const LoopState& state) {
  Impl& i = *impl_;
  if (!i.store) return;
  const auto& values = i.statistics->values();
  const auto all = i.transport.gather({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  std::string failure;
  if (i.rank == 0) {
    Checkpoint c;
    c.facts["model"] = shape_of(*i.graph);
    c.set("step", state.step);
    c.set("epoch", state.epoch);
    c.set("images_seen", state.images_seen);
    c.set("last_lr", state.last_lr);
    c.set("world_size", std::int64_t{i.transport.size()});
    c.set("seed", static_cast<std::int64_t>(i.run.training.seed));
    c.blocks["weights"].assign(i.weights->all().begin(), i.weights->all().end());
    c.blocks["velocity"].assign(i.velocity->all().begin(), i.velocity->all().end());
    for (std::size_t r = 0; r < all.size(); ++r) {
      std::vector<float>& block = c.blocks[fmt::format("statistics {}", r)];
      block.resize(values.size());
      std::memcpy(block.data(), all[r].data(), all[r].size());
    }
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

LoopState CpuWorld::restore(const std::string& id) {
  Impl& i = *impl_;
  LOCKSTEP_EXPECTS(i.store.has_value());
  // Rank 0 reads; its disk may be the only one that has the file. A fault is sent to all as text.
  std::string fault, fact;
  Checkpoint c;
  if (i.rank == 0) {
    try {
      std::string name = id;
      if (id == "newest") {
        auto newest = i.store->newest();
        for (const auto& why : newest.refused) {
          if (i.settings.warn) i.settings.warn("checkpoint not used: " + why);
        }
        c = std::move(newest.checkpoint);
        name = newest.id;
      } else {
        c = read_checkpoint(i.store->path_of(id));
      }
      if (c.facts["model"] != shape_of(*i.graph)) {
        throw ConfigError(
            i.store->path_of(name).string(), "model.name",
            fmt::format("the checkpoint is of {}, the run trains {}", c.facts["model"], shape_of(*i.graph)));
      }
      if (c.integer("seed") != static_cast<std::int64_t>(i.run.training.seed)) {
        throw ConfigError(i.store->path_of(name).string(), "training.seed",
                          fmt::format("the checkpoint is of a run with seed {}, this one has {}", c.integer("seed"),
                                      i.run.training.seed));
      }
      i.last_checkpoint = i.store->path_of(name).string();
      fact = fmt::format("{} {} {} {} {} {}", c.integer("step"), c.facts["epoch"], c.integer("images_seen"),
                         c.facts["last_lr"], c.integer("world_size"), i.last_checkpoint);
    } catch (const ConfigError& e) {
      fault = e.what();
    }
  }
  fault = i.transport.gather(fault)[0];
  if (!fault.empty()) throw ConfigError("resume", "", fault);
  fact = i.transport.gather(fact)[0];
  std::istringstream facts(fact);
  LoopState state;
  int world = 0;
  std::string epoch, rate;
  facts >> state.step >> epoch >> state.images_seen >> rate >> world;
  state.epoch = std::stod(epoch);
  state.last_lr = std::stod(rate);
  std::getline(facts >> std::ws, i.last_checkpoint);

  std::vector<std::vector<float>> statistics(static_cast<std::size_t>(world),
                                             std::vector<float>(i.statistics->values().size()));
  if (i.rank == 0) {
    std::copy(c.blocks["weights"].begin(), c.blocks["weights"].end(), i.weights->all().begin());
    std::copy(c.blocks["velocity"].begin(), c.blocks["velocity"].end(), i.velocity->all().begin());
    for (std::size_t r = 0; r < statistics.size(); ++r) statistics[r] = c.blocks[fmt::format("statistics {}", r)];
  }
  i.transport.broadcast(bytes_of(i.weights->all()), 0);
  i.transport.broadcast(bytes_of(i.velocity->all()), 0);
  for (auto& block : statistics) i.transport.broadcast(bytes_of(block), 0);
  // With another number of ranks everyone begins with the mean of what there was.
  if (world == i.transport.size()) {
    i.statistics->values() = statistics[static_cast<std::size_t>(i.rank)];
  } else {
    if (i.rank == 0 && i.settings.warn)
      i.settings.warn(fmt::format(
          "the checkpoint was written by {} ranks, this run has {}: batch-norm averages start from the mean over ranks",
          world, i.transport.size()));
    auto& mean = i.statistics->values();
    std::fill(mean.begin(), mean.end(), 0.0f);
    for (const auto& block : statistics) {
      for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += block[k] / static_cast<float>(world);
    }
  }
  i.load_weights();
  return state;
}

bool CpuWorld::any(bool mine) {
  const double values[] = {mine ? 1.0 : 0.0};
  return sum_over_ranks(impl_->transport, values)[0] > 0;
}

Timeline CpuWorld::timeline(std::span<const Rank> ranks, std::span<const std::int64_t> steps) const {
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
