#include "experiments/explain.hpp"

#include <algorithm>

#include "experiments/effects.hpp"

namespace lockstep {

namespace {

void without_noise(Inputs& i) {
  i.run.simulation.noise = false;
  if (i.run.simulation.background == 0) i.run.simulation.sampled_steps = 1;  // other jobs are drawn per step
}

/// Whether a switch changes anything for this run.
bool has(const Inputs& in, const std::string& key) {
  const bool several = in.run.cluster.gpus > 1;
  if (key == "small_batch") return in.gpu.multiprocessors.value > 0;
  if (key == "input") return in.run.data.decode_rate > 0 || in.run.data.storage_rate > Bandwidth::bytes_per_second(0);
  if (key == "reduction") return several && in.library.reduce.value > Bandwidth::bytes_per_second(0);
  if (key == "staging") return copies_through_host(in);
  if (key == "tcp") {
    const NicSpec& nic = in.cluster.node.nic;
    const bool costs =
        in.library.tcp_latency.value > Time::zero() || nic.connection.value > Bandwidth::bytes_per_second(0);
    return in.run.cluster.gpus > in.cluster.node.gpus && nic.transport == NicTransport::Tcp && costs;
  }
  if (key == "contention") return several && in.library.channels.value > 0;
  return several;
}

}  // namespace

std::vector<Effect> effects_of(const Inputs& in) {
  std::vector<Effect> out;
  const bool several = in.run.cluster.gpus > 1;
  for (const EffectSwitch& s : effect_switches()) {
    // The ladder starts on one GPU, whose own effects come before the wire.
    if (several && std::string(s.key) == "link_latency")
      out.push_back({"bytes on links that are shared", [](Inputs& i) { i = at_world_size(i, 1); }});
    if (in.run.effects.*s.enabled && has(in, s.key))
      out.push_back({std::string(s.key) == "protocol" ? "protocol of " + in.library.name : s.name,
                     [enabled = s.enabled](Inputs& i) { i.run.effects.*enabled = false; }});
  }
  if (several && !in.run.allreduce.overlap)
    out.push_back({"communication after the backward pass", [](Inputs& i) { i.run.allreduce.overlap = true; }});
  if (in.run.optimizer.kind == OptimizerKind::Lars && in.run.optimizer.norms != NormKernels::Batched)
    out.push_back({"norms layer by layer", [](Inputs& i) { i.run.optimizer.norms = NormKernels::Batched; }});
  if (!in.run.simulation.slow_ranks.empty())
    out.push_back({"slow GPUs", [](Inputs& i) { i.run.simulation.slow_ranks.clear(); }});
  if (in.run.simulation.noise) out.push_back({"jitter and unequal GPUs", without_noise});
  return out;
}

std::vector<Rung> explain_step(const Inputs& inputs, const StepPrediction& centre, const Progress& progress) {
  const std::vector<Effect> effects = effects_of(inputs);
  const Inputs planned = with_plan_fixed(inputs);  // else an effect that is off lets the planner choose anew
  std::vector<Rung> ladder;
  for (std::size_t on = 0; on <= effects.size(); ++on) {
    if (progress && !progress(static_cast<double>(on) / static_cast<double>(effects.size() + 1), "explaining the step"))
      return {};
    Inputs world = planned;
    world.run.output.trace_ranks.clear();
    for (std::size_t e = effects.size(); e-- > on;) effects[e].off(world);
    ladder.push_back({on == 0 ? "computation of one GPU" : effects[on - 1].name,
                      on == effects.size() ? centre.step : predict_step(world).step});
  }
  return ladder;
}

}  // namespace lockstep
