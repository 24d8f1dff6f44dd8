#include "experiments/compose.hpp"

#include <algorithm>
#include <cmath>

#include "core/model/zoo.hpp"
#include "core/plan/planner.hpp"
#include "core/run/metrics.hpp"
#include "experiments/parallel.hpp"

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
  return p;
}

/// A parameter with a band, by name, with a way to set it.
struct Banded {
  std::string name;
  bool noise = false;  ///< matters only with noise on
  std::function<void(Inputs&, bool high)> set;
};

/// On all cores, with progress as a fraction; false once the user has stopped it.
bool on_all_cores(std::size_t count, const std::string& what, const Progress& progress,
                  const std::function<void(std::size_t)>& work) {
  return for_each_in_parallel(count, usable_threads(), work, [&](std::size_t done) {
    return !progress || progress(static_cast<double>(done) / static_cast<double>(count), what);
  });
}

template <class T>
void collect(std::vector<Banded>& out, const std::string& name, const Inputs& inputs,
             std::function<Sourced<T>&(Inputs&)> field) {
  Inputs copy = inputs;
  const Sourced<T>& s = field(copy);
  if (s.low == s.high) return;
  const bool noise = name == "gpu.step_jitter" || name == "gpu.gpu_spread";
  out.push_back({name, noise, [field](Inputs& i, bool high) {
                   Sourced<T>& f = field(i);
                   f.value = high ? f.high : f.low;
                 }});
}

std::vector<Banded> banded_parameters(const Inputs& in) {
  std::vector<Banded> out;
  collect<Bandwidth>(
      out, "nvlink.per_link", in, [](Inputs & i) -> auto& { return i.cluster.node.nvlink.per_link; });
  collect<Time>(
      out, "nvlink.latency", in, [](Inputs & i) -> auto& { return i.cluster.node.nvlink.latency; });
  collect<Bandwidth>(
      out, "pcie.x16", in, [](Inputs & i) -> auto& { return i.cluster.node.pcie.x16; });
  collect<Time>(
      out, "pcie.latency", in, [](Inputs & i) -> auto& { return i.cluster.node.pcie.latency; });
  collect<Bandwidth>(
      out, "nic.rate", in, [](Inputs & i) -> auto& { return i.cluster.node.nic.rate; });
  collect<Time>(
      out, "nic.latency", in, [](Inputs & i) -> auto& { return i.cluster.node.nic.latency; });
  for (std::size_t t = 0; t < in.cluster.network.tiers.size(); ++t) {
    const std::string tier = "network." + in.cluster.network.tiers[t].name;
    collect<Bandwidth>(
        out, tier + ".rate", in, [t](Inputs & i) -> auto& { return i.cluster.network.tiers[t].rate; });
    collect<Time>(
        out, tier + ".hop", in, [t](Inputs & i) -> auto& { return i.cluster.network.tiers[t].hop; });
  }
  collect<Time>(
      out, "library.launch", in, [](Inputs & i) -> auto& { return i.library.launch; });
  if (in.run.buckets.policy == BucketPolicy::Horovod) {
    collect<Time>(
        out, "library.negotiate", in, [](Inputs & i) -> auto& { return i.library.negotiate; });
  }
  collect<Bandwidth>(
      out, "library.reduce", in, [](Inputs & i) -> auto& { return i.library.reduce; });
  if (in.library.host_memory || !in.run.allreduce.gpudirect) {
    collect<Bandwidth>(
        out, "library.staging", in, [](Inputs & i) -> auto& { return i.library.staging; });
    collect<Time>(
        out, "library.staging_latency", in, [](Inputs & i) -> auto& { return i.library.staging_latency; });
  }
  collect<Bandwidth>(
      out, "gpu.memory_achieved", in, [](Inputs & i) -> auto& { return i.gpu.memory_achieved; });
  collect<Time>(
      out, "gpu.kernel_gap", in, [](Inputs & i) -> auto& { return i.gpu.kernel_gap; });
  collect<Time>(
      out, "gpu.dispatch", in, [](Inputs & i) -> auto& { return i.gpu.dispatch; });
  collect<double>(
      out, "gpu.step_jitter", in, [](Inputs & i) -> auto& { return i.gpu.step_jitter; });
  collect<double>(
      out, "gpu.gpu_spread", in, [](Inputs & i) -> auto& { return i.gpu.gpu_spread; });
  for (std::size_t a = 0; a < in.gpu.anchors.size(); ++a) {
    const auto& anchor = in.gpu.anchors[a];
    if (anchor.precision != in.run.training.precision) continue;
    if (!in.run.cluster.framework.empty() && anchor.framework != in.run.cluster.framework) continue;
    collect<double>(
        out, "gpu.anchor " + anchor.framework,
        in, [a](Inputs & i) -> auto& { return i.gpu.anchors[a].images_per_second; });
    break;
  }
  return out;
}

}  // namespace

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
  if (run.allreduce.protocol != "auto") {
    std::string known;
    bool found = false;
    for (const auto& p : inputs.library.protocols) {
      found = found || p.name == run.allreduce.protocol;
      known += (known.empty() ? "" : ", ") + p.name;
    }
    if (!found)
      fault("allreduce.protocol", "library " + inputs.library.name + " has no protocol \"" + run.allreduce.protocol +
                                      "\"; expected auto, " + known);
  }
  if (run.allreduce.algorithm == AllreduceAlgorithm::Library && inputs.library.tuning.rule == TuningRule::None)
    fault("allreduce.algorithm", "library " + inputs.library.name +
                                     " has no rule of choice ([tuning]); expected another "
                                     "library, such as nccl-2.8, or another algorithm");
  bool precision_known = false, framework_known = run.cluster.framework.empty();
  for (const auto& a : inputs.gpu.anchors) {
    precision_known = precision_known || a.precision == run.training.precision;
    framework_known =
        framework_known || (a.precision == run.training.precision && a.framework == run.cluster.framework);
  }
  if (precision_known && !framework_known) {
    std::string known;
    for (const auto& a : inputs.gpu.anchors) {
      if (a.precision == run.training.precision) known += (known.empty() ? "" : ", ") + a.framework;
    }
    fault("cluster.framework", "GPU " + inputs.gpu.name + " has no anchor \"" + run.cluster.framework +
                                   "\" at this precision; expected one of " + known);
  }
  for (int n : run.output.curve) {
    if (n < 1 || n > inputs.cluster.total_gpus()) {
      fault("output.curve",
            std::to_string(n) + " GPUs: expected 1 to the cluster's " + std::to_string(inputs.cluster.total_gpus()));
    }
  }
  return faults;
}

StepProgram make_program(const Inputs& inputs, const sim::SimWorld& world, std::int64_t global_batch) {
  auto graph = fused_graph(inputs.run);
  const std::int64_t per_rank = global_batch / inputs.run.cluster.gpus / accumulation_at(inputs.run, global_batch);
  const auto ready = world.ready_times(*graph, per_rank);
  return plan_step(
      inputs.run, global_batch, inputs.cluster.node, std::move(graph), ready,
      [&](const CollectivePlan& plan) { return world.cost(plan); }, &inputs.library);
}

ProgramFactory program_factory(const Inputs& inputs) {
  auto world = std::make_shared<sim::SimWorld>(settings_of(inputs));
  world->prepare({fused_graph(inputs.run), inputs.run.training.seed});
  return [inputs, world](std::int64_t global_batch) { return make_program(inputs, *world, global_batch); };
}

Inputs at_world_size(Inputs inputs, int gpus) {
  const std::int64_t per_gpu = inputs.run.training.global_batch / inputs.run.cluster.gpus;
  inputs.run.training.global_batch = per_gpu * gpus;
  inputs.run.cluster.gpus = gpus;
  inputs.run.schedule.batches.clear();
  std::erase_if(inputs.run.simulation.slow_ranks, [&](const SlowRank& s) { return s.rank >= gpus; });
  return inputs;
}

StepPrediction predict_step(const Inputs& inputs) {
  sim::SimWorld world(settings_of(inputs));
  world.prepare({fused_graph(inputs.run), inputs.run.training.seed});
  return steady_step(inputs, world, make_program(inputs, world, inputs.run.training.global_batch));
}

RunPrediction predict_run(const Inputs& inputs, const LoopHooks& hooks) {
  RunPrediction p;
  sim::SimWorld world(settings_of(inputs));
  world.prepare({fused_graph(inputs.run), inputs.run.training.seed});
  p.program = make_program(inputs, world, inputs.run.training.global_batch);
  p.info = world.info();
  p.step = steady_step(inputs, world, p.program);
  std::vector<Rank> ranks;
  for (int r : inputs.run.output.trace_ranks) ranks.emplace_back(r);
  const std::vector<std::int64_t> steps{1, 2, 3, 4};
  p.timeline = world.timeline(ranks, steps);
  // The loop prepares the world anew; steps already simulated are known to it.
  p.warnings = schedule_warnings(inputs.run);
  p.run = train(
      inputs.run, world, [&](std::int64_t batch) { return make_program(inputs, world, batch); }, hooks);
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

Interval predict_interval(const Inputs& inputs, const StepPrediction& centre, const Progress& progress) {
  // One noise-free step tells what a parameter does; the noise itself is varied with noise on.
  Inputs quiet = inputs;
  quiet.run.simulation.noise = false;
  quiet.run.simulation.sampled_steps = 1;
  quiet.run.output.trace_ranks.clear();
  const Time still = predict_step(quiet).step;
  const auto parameters = banded_parameters(inputs);
  std::vector<Time> shifts(2 * parameters.size());
  on_all_cores(shifts.size(), "prediction interval", progress, [&](std::size_t i) {
    const Banded& parameter = parameters[i / 2];
    if (parameter.noise && !inputs.run.simulation.noise) return;
    Inputs changed = parameter.noise ? inputs : quiet;
    parameter.set(changed, i % 2 == 1);
    shifts[i] = predict_step(changed).step - (parameter.noise ? centre.step : still);
  });

  Interval interval;
  double below = 0, above = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Sensitivity s{parameters[i].name, centre.step + shifts[2 * i], centre.step + shifts[2 * i + 1]};
    const double low = std::min({0.0, shifts[2 * i].seconds(), shifts[2 * i + 1].seconds()});
    const double high = std::max({0.0, shifts[2 * i].seconds(), shifts[2 * i + 1].seconds()});
    below += low * low;
    above += high * high;
    interval.parameters.push_back(s);
  }
  interval.low = centre.step - Time::seconds(std::sqrt(below));
  interval.high = centre.step + Time::seconds(std::sqrt(above));
  const auto effect = [&](const Sensitivity& s) {
    return std::max(std::abs((s.at_low - centre.step).seconds()), std::abs((s.at_high - centre.step).seconds()));
  };
  std::stable_sort(interval.parameters.begin(), interval.parameters.end(),
                   [&](const Sensitivity& a, const Sensitivity& b) { return effect(a) > effect(b); });
  return interval;
}

}  // namespace lockstep
