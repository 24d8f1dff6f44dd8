#include "experiments/compose.hpp"

#include <algorithm>

#include "core/model/zoo.hpp"
#include "core/plan/planner.hpp"
#include "core/run/metrics.hpp"
#include "core/spec/releases.hpp"
#include "experiments/effects.hpp"
#include "experiments/parallel.hpp"
#include "sim/network/estimate.hpp"

namespace lockstep {

namespace {

std::shared_ptr<const ModelGraph> fused_graph(const RunSpec& run) {
  return std::make_shared<const ModelGraph>(fuse(build_model(run.model.name, run.model.image_size, run.model.classes)));
}

sim::WorldSettings settings_of(const Inputs& inputs) {
  return {inputs.run, inputs.cluster, inputs.gpu, inputs.library, inputs.top1};
}

StepPrediction steady_step(const Inputs& inputs, sim::SimWorld& world, const StepProgram& program) {
  const std::int64_t batch = inputs.run.training.global_batch;
  std::vector<StepArgs> steps(static_cast<std::size_t>(std::max<std::int64_t>(1, inputs.run.simulation.sampled_steps)));
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].step = static_cast<std::int64_t>(i) + 1;  // step 0 would add the first epoch's extra time
    steps[i].images = batch;
  }
  const StepResult result = world.run(program, steps, {});
  StepPrediction p;
  p.gpus = inputs.run.cluster.gpus;
  p.global_batch = batch;
  p.step = result.elapsed / static_cast<double>(result.steps);
  p.parts = result.parts;
  p.images_per_second = images_per_second(batch, p.step);
  p.buckets = world.bucket_report();
  p.messages = world.messages();
  p.events = world.events();
  p.digest = world.digest();
  p.folding = world.folding();
  return p;
}

/// On all cores, with progress as a fraction; false once the user has stopped it.
bool on_all_cores(std::size_t count, const std::string& what, const Progress& progress,
                  const std::function<void(std::size_t)>& work) {
  return for_each_in_parallel(count, usable_threads(), work, [&](std::size_t done) {
    return !progress || progress(static_cast<double>(done) / static_cast<double>(count), what);
  });
}

}  // namespace

namespace {

/// Links that the cluster does not have, and other jobs where there is nothing to share with them.
std::vector<Fault> link_faults(const Inputs& inputs) {
  std::vector<Fault> faults;
  const SimulationSpec& s = inputs.run.simulation;
  const ClusterSpec& cluster = inputs.cluster;
  const auto fault = [&](const char* key, const std::string& message) { faults.push_back({"run file", key, message}); };
  if (s.background > 0 && (cluster.network.kind != NetworkKind::FatTree || cluster.network.tiers.size() < 2))
    fault("simulation.background", "cluster " + cluster.name +
                                       " has no cables between switches that other jobs could use; expected 0, or a "
                                       "cluster with a fat tree");
  if (s.slow_links.empty() && s.failed_links.empty()) return faults;
  const bool joined = cluster.network.kind != NetworkKind::None;
  const sim::Fabric whole(cluster, joined ? cluster.nodes : 1, Routing::Static, 0);
  const auto check = [&](const char* key, const std::string& name) {
    if (!sim::find_links(whole.links(), name).empty()) return;
    std::vector<std::string> known;
    for (std::size_t i = 0; i < whole.links().size(); i += 2) {
      known.push_back(sim::cable_name(whole.links()[i]));
      for (const char* way : {".up", ".down"}) known.push_back(known[known.size() - (way[1] == 'u' ? 1 : 2)] + way);
    }
    const std::string near = nearest(name, known);
    fault(key, "cluster " + cluster.name + " has no link \"" + name + "\"" +
                   (near.empty() ? "" : "; did you mean \"" + near + "\"?") +
                   (near.empty() ? "; `lockstep check " + cluster.name + " --links` lists them" : ""));
  };
  for (const SlowLink& slow : s.slow_links) check("simulation.slow_links", slow.link);
  for (const std::string& name : s.failed_links) check("simulation.failed_links", name);
  return faults;
}

/// The run restricts its library's choice.
bool restricts(const AllreduceSpec& a) {
  return a.algorithm == AllreduceAlgorithm::Library && (!a.among.empty() || a.protocol != "auto");
}

/// Why the run's restrictions leave its library's rule nothing to choose on `gpus` GPUs; empty if they leave something.
std::string nothing_left_on(const Inputs& inputs, int gpus) {
  RunSpec run = inputs.run;
  run.cluster.gpus = gpus;
  const int node_gpus = gpus_per_node_used(run, inputs.cluster.node);
  const auto context =
      sim::estimate_context(inputs.cluster, inputs.library, node_gpus, run, inputs.gpu.compute_capability);
  const std::string why = nothing_left(inputs.cluster.node, inputs.library, node_gpus, context.view);
  return why.empty() ? "" : "nothing is left to choose: " + why;
}

/// The key that asks for NVLS; null: none does.
const char* key_that_asks_for_nvls(const AllreduceSpec& a) {
  const auto asks = [](const BucketAlgorithm& b) { return b.algorithm == AllreduceAlgorithm::Nvls; };
  if (!a.per_bucket.empty())
    return std::any_of(a.per_bucket.begin(), a.per_bucket.end(), asks) ? "allreduce.per_bucket" : nullptr;
  return a.algorithm == AllreduceAlgorithm::Nvls ? "allreduce.algorithm" : nullptr;
}

/// Some bucket's algorithm is the planner's choice.
bool leaves_open(const RunSpec& run) {
  if (run.cluster.gpus == 1) return false;
  for (std::size_t b = 0; b < std::max<std::size_t>(1, run.allreduce.per_bucket.size()); ++b) {
    const auto [algorithm, across] = bucket_algorithm(run.allreduce, b);
    if (algorithm == AllreduceAlgorithm::Auto || (two_level(algorithm) && across == AllreduceAlgorithm::Auto))
      return true;
  }
  return false;
}

}  // namespace

std::string unknown_protocol(const LibrarySpec& library, const std::string& protocol) {
  if (protocol == "auto") return "";
  std::string known;
  for (const ProtocolSpec& p : library.protocols) {
    if (p.name == protocol) return "";
    known += ", " + p.name;
  }
  return "library " + library.name + " has no protocol \"" + protocol + "\"; expected auto" + known;
}

std::optional<Fault> nothing_left_fault(const Inputs& inputs) {
  const RunSpec& run = inputs.run;
  if (!restricts(run.allreduce) || run.cluster.gpus <= 1 || run.cluster.gpus > inputs.cluster.total_gpus()) return {};
  std::string why = nothing_left_on(inputs, run.cluster.gpus);
  if (why.empty()) return {};
  return Fault{"run file", run.allreduce.among.empty() ? "allreduce.protocol" : "allreduce.among", std::move(why)};
}

std::vector<Fault> validate(const Inputs& inputs) {
  std::vector<Fault> faults;
  const auto& run = inputs.run;
  const auto fault = [&](std::string key, std::string message) {
    faults.push_back({"run file", std::move(key), std::move(message)});
  };
  if (run.cluster.gpus > inputs.cluster.total_gpus()) {
    fault("cluster.gpus", std::to_string(run.cluster.gpus) + " GPUs, but cluster " + inputs.cluster.name + " has " +
                              std::to_string(inputs.cluster.total_gpus()) + " (" +
                              std::to_string(inputs.cluster.nodes) + " nodes of " +
                              std::to_string(inputs.cluster.node.gpus) + ")");
  }
  std::string no_protocol = unknown_protocol(inputs.library, run.allreduce.protocol);
  const bool known_protocol = no_protocol.empty();
  if (!known_protocol) fault("allreduce.protocol", std::move(no_protocol));
  if (run.allreduce.algorithm == AllreduceAlgorithm::Library && inputs.library.tuning.rule == TuningRule::None)
    fault("allreduce.algorithm", "library " + inputs.library.name +
                                     " has no rule of choice ([tuning]); expected another "
                                     "library, such as nccl-2.8, or another algorithm");
  if (const char* key = key_that_asks_for_nvls(run.allreduce); key != nullptr && run.cluster.gpus > 1) {
    const std::string& protocol = inputs.library.nvls.protocol;
    const int node_gpus = gpus_per_node_used(run, inputs.cluster.node);
    if (std::string wrong = no_nvls(inputs.cluster.node, &inputs.library, node_gpus, run.cluster.gpus); !wrong.empty())
      fault(key, "nvls: " + wrong);
    else if (run.allreduce.protocol != "auto" && run.allreduce.protocol != protocol)
      fault("allreduce.protocol", "NVLS goes by \"" + protocol + "\" only; expected auto or " + protocol);
  }
  const auto left = known_protocol ? nothing_left_fault(inputs) : std::nullopt;
  if (left) faults.push_back(*left);
  if (std::string wrong = unknown_anchor(inputs.gpu, run.training.precision, run.cluster.framework); !wrong.empty())
    fault("cluster.framework", std::move(wrong));
  for (Fault& f : link_faults(inputs)) faults.push_back(std::move(f));
  for (int n : run.output.curve) {
    if (n < 1 || n > inputs.cluster.total_gpus()) {
      fault("output.curve",
            std::to_string(n) + " GPUs: expected 1 to the cluster's " + std::to_string(inputs.cluster.total_gpus()));
    } else if (n > 1 && restricts(run.allreduce) && known_protocol && !left) {
      if (std::string why = nothing_left_on(inputs, n); !why.empty())
        fault("output.curve", std::to_string(n) + " GPUs: " + why);
    }
  }
  return faults;
}

StepProgram make_program(const Inputs& inputs, const sim::SimWorld& world, std::int64_t global_batch) {
  auto graph = fused_graph(inputs.run);
  const std::int64_t per_rank = global_batch / inputs.run.cluster.gpus / accumulation_at(inputs.run, global_batch);
  const auto ready = world.ready_times(*graph, per_rank);
  return plan_step(
      inputs.run, global_batch, world.planning_node(), std::move(graph), ready,
      [&](const CollectivePlan& plan) { return world.costs().of(plan); }, &inputs.library);
}

ProgramFactory program_factory(const Inputs& described) {
  const Inputs inputs = without_switched_off(described);
  auto world = std::make_shared<sim::SimWorld>(settings_of(inputs));
  return [inputs, world](std::int64_t global_batch) { return make_program(inputs, *world, global_batch); };
}

Inputs with_plan_fixed(const Inputs& inputs, const StepProgram& program) {
  if (!leaves_open(inputs.run)) return inputs;
  Inputs fixed = inputs;
  fixed.run.allreduce.per_bucket.clear();
  for (const CollectivePlan& plan : program.collectives)
    fixed.run.allreduce.per_bucket.push_back(
        {plan.algorithm, two_level(plan.algorithm) ? plan.across : AllreduceAlgorithm::Auto});
  return fixed;
}

Inputs with_plan_fixed(const Inputs& inputs) {
  if (!leaves_open(inputs.run)) return inputs;
  return with_plan_fixed(inputs, program_factory(inputs)(inputs.run.training.global_batch));
}

Inputs at_world_size(Inputs inputs, int gpus) {
  const std::int64_t per_gpu = inputs.run.training.global_batch / inputs.run.cluster.gpus;
  inputs.run.training.global_batch = per_gpu * gpus;
  inputs.run.cluster.gpus = gpus;
  inputs.run.schedule.batches.clear();
  std::erase_if(inputs.run.simulation.slow_ranks, [&](const SlowRank& s) { return s.rank >= gpus; });
  return inputs;
}

StepPrediction predict_step(const Inputs& described) {
  const Inputs inputs = without_switched_off(described);
  sim::SimWorld world(settings_of(inputs));
  return steady_step(inputs, world, make_program(inputs, world, inputs.run.training.global_batch));
}

RunPrediction predict_run(const Inputs& described, const LoopHooks& hooks) {
  const Inputs inputs = without_switched_off(described);
  RunPrediction p;
  sim::SimWorld world(settings_of(inputs));
  p.program = make_program(inputs, world, inputs.run.training.global_batch);
  p.info = world.info();
  p.step = steady_step(inputs, world, p.program);
  const std::vector<std::int64_t> steps{1, 2, 3, 4};
  p.timeline = world.timeline(traced_ranks(inputs.run), steps);
  p.warnings = schedule_warnings(inputs.run);
  p.run = train(
      inputs.run, world,
      [&](std::int64_t batch) {
        return batch == inputs.run.training.global_batch ? p.program : make_program(inputs, world, batch);
      },
      hooks);
  return p;
}

std::vector<CurvePoint> predict_curve(const Inputs& inputs, const std::vector<int>& gpus, const Progress& progress) {
  const double alone = predict_step(at_world_size(inputs, 1)).images_per_second;
  std::vector<CurvePoint> curve(gpus.size());
  const bool whole = on_all_cores(gpus.size(), "scaling curve", progress, [&](std::size_t i) {
    const std::size_t largest_first = gpus.size() - 1 - i;
    CurvePoint& point = curve[largest_first];
    point.prediction = predict_step(at_world_size(inputs, gpus[largest_first]));
    point.efficiency = scaling_efficiency(point.prediction.images_per_second, gpus[largest_first], alone, 1);
  });
  if (!whole) curve.clear();
  return curve;
}

}  // namespace lockstep
