#include "experiments/explain.hpp"

#include <algorithm>

namespace lockstep {

namespace {

void without_links_latency(Inputs& i) {
  i.cluster.node.nvlink.latency.value = i.cluster.node.pcie.latency.value = i.cluster.node.nic.latency.value =
      Time::zero();
  for (TierSpec& tier : i.cluster.network.tiers) tier.hop.value = Time::zero();
}

void without_protocol(Inputs& i) {
  for (ProtocolSpec& p : i.library.protocols) {
    ProtocolSpec bare;
    bare.name = p.name;
    bare.at_most = p.at_most;
    p = bare;
  }
  i.library.nvlink_share.value = 1;
}

void without_staging(Inputs& i) {
  i.library.host_memory = false;
  i.run.allreduce.gpudirect = true;
}

void without_coordination(Inputs& i) {
  i.library.launch.value = i.library.negotiate.value = Time::zero();
  i.run.buckets.cycle = Time::nanoseconds(1);  // a bucket waits for the next multiple of it
}

void without_noise(Inputs& i) {
  i.run.simulation.noise = false;
  i.run.simulation.sampled_steps = 1;
}

void without_input(Inputs& i) {
  i.run.data.decode_rate = 0;
  i.run.data.storage_rate = Bandwidth::bytes_per_second(0);
}

}  // namespace

std::vector<Effect> effects_of(const Inputs& in) {
  std::vector<Effect> out;
  const bool several = in.run.cluster.gpus > 1;
  if (several) {
    out.push_back({"bytes on links that are shared", [](Inputs& i) { i = at_world_size(i, 1); }});
    out.push_back({"latency of links and switches", without_links_latency});
    out.push_back({"protocol of " + in.library.name, without_protocol});
    if (in.library.reduce.value > Bandwidth::bytes_per_second(0))
      out.push_back(
          {"adding what was received", [](Inputs& i) { i.library.reduce.value = Bandwidth::bytes_per_second(0); }});
    if (in.library.host_memory || !in.run.allreduce.gpudirect)
      out.push_back({"copies through host memory", without_staging});
    out.push_back({"launch and coordination of buckets", without_coordination});
  }
  if (!in.run.allreduce.overlap && several)
    out.push_back({"communication after the backward pass", [](Inputs& i) { i.run.allreduce.overlap = true; }});
  if (in.run.optimizer.kind == OptimizerKind::Lars && in.run.optimizer.norms != NormKernels::Batched)
    out.push_back({"norms layer by layer", [](Inputs& i) { i.run.optimizer.norms = NormKernels::Batched; }});
  if (in.run.data.decode_rate > 0 || in.run.data.storage_rate > Bandwidth::bytes_per_second(0))
    out.push_back({"images that come too late", without_input});
  if (!in.run.simulation.slow_ranks.empty())
    out.push_back({"slow GPUs", [](Inputs& i) { i.run.simulation.slow_ranks.clear(); }});
  if (in.run.simulation.noise) out.push_back({"jitter and unequal GPUs", without_noise});
  return out;
}

std::vector<Rung> explain_step(const Inputs& inputs, const StepPrediction& centre, const Progress& progress) {
  const std::vector<Effect> effects = effects_of(inputs);
  std::vector<Rung> ladder;
  for (std::size_t on = 0; on <= effects.size(); ++on) {
    if (progress && !progress(static_cast<double>(on) / static_cast<double>(effects.size() + 1), "explaining the step"))
      return {};
    Inputs world = inputs;
    world.run.output.trace_ranks.clear();
    for (std::size_t e = effects.size(); e-- > on;) effects[e].off(world);
    ladder.push_back({on == 0 ? "computation of one GPU" : effects[on - 1].name,
                      on == effects.size() ? centre.step : predict_step(world).step});
  }
  return ladder;
}

}  // namespace lockstep
