#include "sim/sim_world.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/rng.hpp"
#include "core/spec/words.hpp"
#include "sim/device/gpu_model.hpp"
#include "sim/device/input.hpp"
#include "sim/device/noise.hpp"
#include "sim/fold/exact.hpp"
#include "sim/network/background.hpp"
#include "sim/plan_costs.hpp"
#include "sim/step/communication_lanes.hpp"
#include "sim/step/step_simulation.hpp"

namespace lockstep::sim {

namespace {

constexpr std::int64_t kTimelineSteps = 4;  // simulated steps whose records are kept

}  // namespace

/// What a program costs on this world's GPUs, worked out once per program.
struct Prepared {
  std::vector<CollectiveChoice> collectives;
  std::map<std::int64_t, RankDurations> by_images;  // images of a rank -> durations of its operations
};

struct SimWorld::Impl {
  WorldSettings settings;
  int world;
  Machine machine;
  GpuModel gpu;
  Noise noise;
  StepSimulation simulation;
  PlanCosts costs;
  std::map<std::uint64_t, Prepared> prepared;
  std::map<std::pair<std::uint64_t, std::int64_t>, StepOutcome> repeated;              // noise-free outcomes
  std::map<std::pair<std::uint64_t, std::int64_t>, std::vector<StepOutcome>> sampled;  // noisy ones
  std::map<std::string, std::pair<LoopState, Time>> checkpoints;
  std::vector<TimelineEvent> records;
  Time clock;

  explicit Impl(WorldSettings s)
      : settings(std::move(s)),
        world(settings.run.cluster.gpus),
        machine(settings.run, settings.cluster, settings.library, settings.gpu.compute_capability),
        gpu(settings.gpu, settings.run.training.precision, settings.run.cluster.framework,
            settings.run.effects.small_batch),
        noise(settings.run.training.seed, world, spread(), jitter(), settings.run.simulation.slow_ranks),
        simulation(machine.fabric, machine.engine, world),
        costs(machine, settings.run, settings.cluster) {
    std::vector<char> traced(static_cast<std::size_t>(world), 0);
    for (const Rank rank : traced_ranks(settings.run)) traced[rank.index()] = 1;
    simulation.trace(std::move(traced));
  }

  /// Why this run cannot be folded approximately; empty if it can.
  std::string not_approximate() const {
    const SimulationSpec& s = settings.run.simulation;
    if (settings.run.allreduce.in_flight > 1) return "collectives in flight together (allreduce.in_flight above 1)";
    if (!s.slow_links.empty() || !s.failed_links.empty()) return "single links that are slow or broken";
    if (s.background > 0) return "traffic of other jobs";
    return "";
  }
  /// Whether a rank stands for all: collectives are then timed one by one.
  bool approximate() const {
    return world > 1 && settings.run.simulation.fold == FoldMode::Approx && not_approximate().empty();
  }

  double spread() const {
    if (!settings.run.simulation.noise) return 0;
    return settings.run.simulation.gpu_spread >= 0 ? settings.run.simulation.gpu_spread : settings.gpu.gpu_spread.value;
  }
  double jitter() const {
    if (!settings.run.simulation.noise) return 0;
    return settings.run.simulation.step_jitter >= 0 ? settings.run.simulation.step_jitter
                                                    : settings.gpu.step_jitter.value;
  }

  RankDurations durations(const StepProgram& program, std::int64_t images) const {
    const std::int64_t micro = std::max<std::int64_t>(1, (images + program.accumulation - 1) / program.accumulation);
    const auto layers = gpu.layer_times(*program.graph, micro);
    RankDurations d;
    d.input = input_time(settings.run.data, images, std::min(world, settings.cluster.node.gpus)).longer();
    for (const Op& op : program.ops) {
      Time t;
      switch (op.kind) {
        case OpKind::Load: t = d.input / program.accumulation; break;
        case OpKind::Forward: t = layers[op.layer.index()].forward; break;
        case OpKind::Backward: t = layers[op.layer.index()].backward; break;
        case OpKind::Allreduce: break;
        case OpKind::Update: {
          std::int64_t elements = 0;
          const auto& tensors = program.updates[static_cast<std::size_t>(op.group)].tensors;
          for (TensorId id : tensors) elements += program.graph->tensor(id).elements();
          t = gpu.update_time(*program.graph, elements, static_cast<int>(tensors.size()), settings.run.optimizer.kind,
                              settings.run.optimizer.norms);
          break;
        }
      }
      d.of_op.push_back(t);
    }
    return d;
  }

  Prepared& prepare_program(const StepProgram& program, std::uint64_t key) {
    auto [it, fresh] = prepared.try_emplace(key);
    if (!fresh) return it->second;
    for (std::size_t b = 0; b < program.buckets.buckets.size(); ++b) {
      const Bucket& bucket = program.buckets.buckets[b];
      CollectiveChoice choice;
      choice.plan = std::make_shared<const CollectivePlan>(program.collectives[b]);
      choice.protocol = choose_protocol(*choice.plan, machine.context, settings.run.allreduce.protocol);
      choice.pack = world > 1 ? gpu.pack_time(bucket.bytes(), static_cast<int>(bucket.tensors.size())) : Time::zero();
      if (approximate()) {
        choice.known = [this, plan = choice.plan, protocol = choice.protocol, pack = choice.pack,
                        coordination = program.buckets.coordination](Time full, Time free) {
          return costs.lengths().of(*plan, protocol, leads(coordination, pack, full, free));
        };
      }
      if (world > 1 && settings.run.effects.contention)
        choice.load = kernel_load(*choice.plan, settings.library, settings.gpu,
                                  closed_form(*choice.plan, machine.context, choice.protocol));
      it->second.collectives.push_back(std::move(choice));
    }
    return it->second;
  }

  /// How long before the slowest rank, whose gradients are complete at `full`, the others enter a collective, if their lanes are free
  /// from `free` on.
  Leads leads(const Coordination& c, Time pack, Time full, Time free) {
    if (c.negotiated || noise.silent()) return {};
    if (typical_factors.empty()) typical_factors = noise.typical();
    const std::vector<double>& factors = typical_factors;
    const double slowest = *std::max_element(factors.begin(), factors.end());
    Leads leads;
    for (const double f : factors)
      leads.push_back(std::max(free, next_tick(full * (f / slowest), c.cycle) + pack + machine.library.launch.value));
    const Time last = *std::max_element(leads.begin(), leads.end());
    for (Time& t : leads) t = last - t;
    return leads;
  }

  StepOutcome simulate(const StepProgram& program, std::uint64_t key, const StepArgs& args, std::vector<Time>* starts) {
    Prepared& p = prepare_program(program, key);
    input_images = args.images;
    StepInput input;
    input.program = &program;
    input.collectives = p.collectives;
    for (int r = 0; r < world; ++r) {
      const std::int64_t images = images_of_rank(args.images, world, Rank(r));
      auto it = p.by_images.find(images);
      if (it == p.by_images.end()) it = p.by_images.emplace(images, durations(program, images)).first;
      input.durations.push_back(&it->second);
      input.factors.push_back(noise.factor(r, args.step));
    }
    input.starts = starts;
    input.step = args.step;
    input.in_flight = settings.run.allreduce.in_flight;
    std::vector<Bandwidth> left;
    if (settings.run.simulation.background > 0) {
      left = left_by_other_jobs(machine.fabric, settings.run.simulation.background,
                                Rng(settings.run.training.seed, "other jobs", static_cast<std::uint64_t>(args.step)));
      input.capacities = &left;
      input.first_capacity = machine.fabric.first_cable();
    }
    if (settings.run.effects.contention) input.gpu = &settings.gpu;
    StepOutcome outcome = fold_and_run(input);
    if (kept_steps < kTimelineSteps) {
      ++kept_steps;
      records.insert(records.end(), outcome.records.begin(), outcome.records.end());
    }
    outcome.records.clear();
    return outcome;
  }
  std::int64_t kept_steps = 0;

  StepOutcome fold_and_run(StepInput& input) {
    const FoldMode mode = settings.run.simulation.fold;
    const std::string all = "every rank is simulated";
    if (world == 1 || mode == FoldMode::None) {
      folding = word_of(mode) + ": " + all;
      return simulation.run(input);
    }
    if (approximate()) return approximated(input);
    const std::string instead =
        mode == FoldMode::Exact ? "exact" : "approx does not know " + not_approximate() + "; exact";
    if (settings.run.simulation.background > 0) {  // capacities that are drawn anew for every step
      folding = instead + ": " + all;
      return simulation.run(input);
    }
    input.fold = exact(input);
    const bool nvls = std::any_of(input.collectives.begin(), input.collectives.end(),
                                  [](const CollectiveChoice& c) { return c.plan->added_in_switches(); });
    const std::string why =
        nvls ? "collectives are added in switches" : "no two ranks are alike, or finding out would cost too much";
    const std::string few = input.fold ? std::to_string(input.fold->simulated.size()) + " of " + std::to_string(world) +
                                             " ranks are simulated"
                                       : why + "; " + all;
    folding = instead + ": " + few;
    return simulation.run(input);
  }

  std::shared_ptr<const Fold> exact(const StepInput& input) {
    std::vector<std::shared_ptr<const CollectivePlan>> plans;
    for (const CollectiveChoice& choice : input.collectives) plans.push_back(choice.plan);
    std::vector<std::uint64_t> colours;
    for (std::size_t r = 0; r < static_cast<std::size_t>(world); ++r) {
      Digest colour;
      colour.add(static_cast<std::uint64_t>(images_of_rank(input_images, world, Rank(static_cast<int>(r)))));
      colour.add(std::bit_cast<std::uint64_t>(input.factors[r]));
      if (input.starts) colour.add(static_cast<std::uint64_t>((*input.starts)[r].picoseconds()));
      colours.push_back(colour.value());
    }
    return exact_fold(machine.fabric, machine.engine, plans, std::move(colours));
  }

  /// One rank for all, as slow as the slowest is expected to be; the others' shorter work is waiting.
  StepOutcome approximated(StepInput& input) {
    auto fold = std::make_shared<Fold>();
    fold->representative.assign(static_cast<std::size_t>(world), 0);
    fold->simulated = {0};
    input.fold = fold;
    const double slowest = noise.expected_slowest(), mean = noise.mean();
    const auto most =
        std::max_element(input.durations.begin(), input.durations.end(), [](const auto* a, const auto* b) {
          const auto length = [](const RankDurations* d) {
            return std::accumulate(d->of_op.begin(), d->of_op.end(), Time::zero());
          };
          return a != b && length(a) < length(b);
        });
    input.durations.assign(input.durations.size(), *most);
    input.factors.assign(input.factors.size(), slowest);
    StepOutcome outcome = simulation.run(input);
    for (Time* part : {&outcome.parts.forward, &outcome.parts.backward, &outcome.parts.update}) {
      const Time own = *part * (mean / slowest);
      outcome.parts.straggler += *part - own;
      *part = own;
    }
    folding = "approx: nodes of each kind stand for all " + std::to_string(world) +
              " ranks, the slowest for its expected maximum";
    return outcome;
  }

  std::string folding;
  std::vector<double> typical_factors;  ///< by rank; empty: not asked for yet
  std::int64_t input_images = 0;        ///< of the step being simulated
};

SimWorld::SimWorld(WorldSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
SimWorld::~SimWorld() = default;

WorldInfo SimWorld::info() const {
  const auto& s = impl_->settings;
  return {"simulated " + s.cluster.name, impl_->world,
          (s.cluster.title.empty() ? s.cluster.name : s.cluster.title) + ", " + s.gpu.title + ", " + s.library.name +
              "; " + impl_->gpu.description()};
}

Time SimWorld::now() const { return impl_->clock; }

void SimWorld::prepare(const RunPlan& plan) {
  auto& i = *impl_;
  i.clock = i.settings.run.setup.startup;
  if (i.settings.run.training.initialization == Initialization::Broadcast && i.world > 1) {
    // Rank 0 sends the fp32 weights down a binomial tree of nodes, pipelined: one transfer plus the tree's depth in latencies.
    const Bytes size(plan.graph->parameters() * 4);
    const auto& node = i.settings.cluster.node;
    const bool inside = i.world <= node.gpus;
    const Bandwidth rate = !inside               ? node.nic.rate.value
                           : node.nvlink.present ? node.nvlink.per_link.value
                                                 : over_pcie(node, i.world, i.world);
    const ProtocolSpec& p = i.machine.engine.library.protocols.front();
    i.clock += size / rate + (inside ? p.tree.nvlink : p.tree.network) * std::ceil(std::log2(i.world));
  }
}

StepResult SimWorld::run(const StepProgram& program, std::span<const StepArgs> steps, const StepObserver& observer) {
  auto& i = *impl_;
  LOCKSTEP_EXPECTS(program.world_size == i.world);
  const std::uint64_t key = program.digest;
  const bool noisy =
      ((!i.noise.silent() && i.noise.varies_by_step()) || i.settings.run.simulation.background > 0) && !i.approximate();
  StepResult result;
  std::vector<Time> starts(static_cast<std::size_t>(i.world), Time::zero());
  Rng draw(i.settings.run.training.seed, "drawn steps",
           steps.empty() ? 0 : static_cast<std::uint64_t>(steps.front().step));

  for (const StepArgs& args : steps) {
    if (args.step == 0) i.clock += i.settings.run.setup.first_epoch_extra;
    const auto id = std::make_pair(key, args.images);
    const StepOutcome* outcome = nullptr;
    if (!noisy) {
      auto it = i.repeated.find(id);
      if (it == i.repeated.end()) {
        it = i.repeated.emplace(id, i.simulate(program, key, args, nullptr)).first;
      }
      outcome = &it->second;
    } else {
      auto& sample = i.sampled[id];
      if (static_cast<std::int64_t>(sample.size()) <
          std::max<std::int64_t>(1, i.settings.run.simulation.sampled_steps)) {
        sample.push_back(i.simulate(program, key, args, &starts));
        outcome = &sample.back();
      } else {
        outcome = &sample[draw.below(sample.size())];
      }
    }
    i.clock += outcome->elapsed;
    result.elapsed += outcome->elapsed;
    result.parts += outcome->parts;
    result.images += args.images;
    ++result.steps;
    if (observer && !observer(result.steps, i.clock)) break;
  }
  if (result.steps > 0) result.parts = result.parts / static_cast<double>(result.steps);
  return result;
}

EvalResult SimWorld::evaluate(const StepProgram& program, const EvalArgs& args) {
  auto& i = *impl_;
  EvalResult result;
  if (i.settings.run.setup.evaluation > Time::zero()) {
    result.elapsed = i.settings.run.setup.evaluation;
  } else {
    const std::int64_t mine = (args.images + i.world - 1) / i.world;
    const std::int64_t batch =
        std::max<std::int64_t>(1, i.settings.run.training.global_batch / i.world /
                                      accumulation_at(i.settings.run, i.settings.run.training.global_batch));
    const std::int64_t full = mine / batch, rest = mine % batch;
    if (full > 0) result.elapsed += i.gpu.inference_time(*program.graph, batch) * full;
    if (rest > 0) result.elapsed += i.gpu.inference_time(*program.graph, rest);
  }
  i.clock += result.elapsed;
  if (i.settings.top1) result.top1 = i.settings.top1(args.epoch);
  return result;
}

void SimWorld::save(const std::string& id, const LoopState& state) { impl_->checkpoints[id] = {state, impl_->clock}; }

LoopState SimWorld::restore(const std::string& id) {
  const auto it = impl_->checkpoints.find(id);
  if (it == impl_->checkpoints.end()) throw ConfigError("checkpoint", id, "no such checkpoint in this simulation");
  impl_->clock = it->second.second;
  return it->second.first;
}

Timeline SimWorld::timeline(std::span<const Rank> ranks, std::span<const std::int64_t> steps) const {
  Timeline t;
  for (const auto& e : impl_->records) {
    if (std::find(ranks.begin(), ranks.end(), e.rank) != ranks.end() &&
        std::find(steps.begin(), steps.end(), e.step) != steps.end()) {
      t.events.push_back(e);
    }
  }
  std::stable_sort(t.events.begin(), t.events.end(), [](const TimelineEvent& a, const TimelineEvent& b) {
    return std::tie(a.rank, a.lane, a.begin) < std::tie(b.rank, b.lane, b.begin);
  });
  return t;
}

const NodeSpec& SimWorld::planning_node() const { return impl_->machine.planned.node; }

std::vector<Time> SimWorld::ready_times(const ModelGraph& fused, std::int64_t images_per_rank) const {
  const auto layers = impl_->gpu.layer_times(fused, std::max<std::int64_t>(1, images_per_rank));
  std::vector<Time> done(fused.layers.size());
  Time t;
  for (std::size_t l = fused.layers.size(); l-- > 0;) {
    t += layers[l].backward;
    done[l] = t;
  }
  std::vector<Time> ready;
  for (const auto& tensor : fused.tensors) ready.push_back(done[tensor.layer.index()]);
  return ready;
}

PlanCosts& SimWorld::costs() const { return impl_->costs; }

std::vector<BucketReport> SimWorld::bucket_report() const { return impl_->simulation.buckets(); }
std::string SimWorld::folding() const { return impl_->folding; }
std::uint64_t SimWorld::digest() const { return impl_->simulation.digest(); }
std::int64_t SimWorld::events() const { return impl_->simulation.events(); }
std::int64_t SimWorld::messages() const { return impl_->simulation.messages(); }

}  // namespace lockstep::sim
