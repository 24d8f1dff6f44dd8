#include "experiments/effects.hpp"

#include "sim/network/staging.hpp"

namespace lockstep {

namespace {

void no_link_latency(Inputs& i) {
  i.cluster.node.nvlink.latency.value = i.cluster.node.pcie.latency.value = i.cluster.node.nic.latency.value =
      Time::zero();
  for (TierSpec& tier : i.cluster.network.tiers) tier.hop.value = Time::zero();
}

void no_protocol(Inputs& i) {
  for (ProtocolSpec& p : i.library.protocols) {
    ProtocolSpec bare;
    bare.name = p.name;
    bare.at_most = p.at_most;
    p = bare;
  }
  i.library.nvlink_share.value = i.library.nvls.share.value = 1;
  i.library.nvls.base = i.library.nvls.inside = i.library.nvls.network = Time::zero();
  i.library.nvls.tree = {};
  i.library.limits = false;
}

void no_reduction(Inputs& i) { i.library.reduce.value = Bandwidth::bytes_per_second(0); }

void no_staging(Inputs& i) {
  i.library.host_memory = false;
  i.run.allreduce.gpudirect = true;
  i.cluster.node.pcie.host_copy.value = Bandwidth::bytes_per_second(0);
}

void no_tcp(Inputs& i) { i.cluster.node.nic.transport = NicTransport::Rdma; }

void no_coordination(Inputs& i) {
  i.library.launch.value = i.library.negotiate.value = Time::zero();
  i.run.buckets.cycle = Time::nanoseconds(1);  // a bucket waits for the next multiple of it
}

void no_input(Inputs& i) {
  i.run.data.decode_rate = 0;
  i.run.data.storage_rate = Bandwidth::bytes_per_second(0);
}

constexpr EffectSwitch kSwitches[] = {
    {"small_batch", "small batch: waves and kernel starts", &EffectsSpec::small_batch, nullptr},
    {"link_latency", "latency of links and switches", &EffectsSpec::link_latency, no_link_latency},
    {"protocol", "protocol of the library", &EffectsSpec::protocol, no_protocol},
    {"reduction", "adding what was received", &EffectsSpec::reduction, no_reduction},
    {"staging", "copies through host memory", &EffectsSpec::staging, no_staging},
    {"tcp", "TCP instead of verbs", &EffectsSpec::tcp, no_tcp},
    {"coordination", "launch and coordination of buckets", &EffectsSpec::coordination, no_coordination},
    {"contention", "communication kernels beside the backward pass", &EffectsSpec::contention, nullptr},
    {"input", "images that come too late", &EffectsSpec::input, no_input},
};

}  // namespace

bool copies_through_host(const Inputs& inputs) {
  const NodeSpec& node = inputs.cluster.node;
  const int gpus = inputs.run.cluster.gpus;
  if (gpus > node.gpus && sim::stages(node, node.gpus, sim::staging_of(inputs.library, inputs.run.allreduce)))
    return true;
  return node.meets_in_host(0, std::min(gpus, node.gpus));
}

std::span<const EffectSwitch> effect_switches() { return kSwitches; }

Inputs without_switched_off(Inputs inputs) {
  for (const EffectSwitch& s : kSwitches) {
    if (!(inputs.run.effects.*s.enabled) && s.off) s.off(inputs);
  }
  return inputs;
}

}  // namespace lockstep
