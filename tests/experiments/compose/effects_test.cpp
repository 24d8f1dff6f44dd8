// The switches of [effects].
#include "experiments/effects.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "experiments/inputs/read_inputs.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;

/// A run that has every effect: staged, with a library that adds at a stated rate, negotiation, and images that come late.
Inputs everything() {
  Inputs in = read_inputs(kSource / "experiments/fujitsu_abci_2048/run.toml",
                          {"cluster.gpus=32", "training.global_batch=1280", "simulation.noise=false",
                           "output.trace_ranks=[]", "output.curve=[]", "allreduce.gpudirect=false"},
                          {kSource / "data"});
  in.library.reduce = Sourced(Bandwidth::gigabytes_per_second(50));
  in.library.launch = Sourced(Time::microseconds(200));
  in.cluster.node.pcie.host_copy = Sourced(Bandwidth::gigabytes_per_second(4));
  in.library.tcp_latency = Sourced(Time::microseconds(20));
  in.cluster.node.nic.transport = NicTransport::Tcp;
  for (TierSpec& tier : in.cluster.network.tiers) tier.hop = Sourced(Time::microseconds(20));
  return in;
}

TEST(Effects, OneRowPerSwitch) {
  // EffectsSpec holds nothing but switches, so its size counts them.
  std::set<std::string> keys;
  for (const EffectSwitch& s : effect_switches()) keys.insert(s.key);
  EXPECT_EQ(keys.size(), effect_switches().size());
  EXPECT_EQ(effect_switches().size() * sizeof(bool), sizeof(EffectsSpec));
}

TEST(Effects, CopiesThroughHostAreThoseOfTheSimulator) {
  Inputs in = everything();
  EXPECT_TRUE(copies_through_host(in));
  in.run.allreduce.gpudirect = true;
  EXPECT_FALSE(copies_through_host(in));
  in.library.host_memory = true;  // whatever the adapters can
  EXPECT_TRUE(copies_through_host(in));
  in.library.host_memory = false;
  in.run.allreduce.gpudirect = false;
  in.run.cluster.gpus = in.cluster.node.gpus;  // in one node, wherever it is
  in.run.cluster.placement = Placement::Spread;
  EXPECT_EQ(copies_through_host(in), in.cluster.node.meets_in_host(0, in.cluster.node.gpus));
  in = everything();
  in.cluster.node.nic.cpu.clear();
  in.cluster.node.nic.under_switch = {0, 1};  // beside the GPUs: no message crosses the host
  ASSERT_TRUE(in.cluster.node.nics_beside(in.cluster.node.gpus));
  EXPECT_FALSE(copies_through_host(in));
}

TEST(Effects, EachCanBeSwitchedOffAndCostsTime) {
  const Time all = predict_step(everything()).step;
  for (const EffectSwitch& s : effect_switches()) {
    Inputs in = everything();
    if (std::string(s.key) == "input") in.run.data.decode_rate = 1000;  // 4 GPUs x 40 images: 160 ms
    const Time with = predict_step(in).step;
    in.run.effects.*s.enabled = false;
    const Time without = predict_step(in).step;
    EXPECT_LT(without, with) << s.key;
    if (std::string(s.key) == "input") {
      EXPECT_EQ(with, Time::milliseconds(160));
      EXPECT_EQ(without, all);
    }
  }
}

TEST(Effects, SwitchedOffTwiceIsSwitchedOffOnce) {
  Inputs in = everything();
  in.run.effects = EffectsSpec{false, false, false, false, false, false, false, false, false};
  const Inputs once = without_switched_off(in), twice = without_switched_off(once);
  EXPECT_EQ(predict_step(once).step, predict_step(in).step);
  EXPECT_EQ(predict_step(twice).step, predict_step(in).step);
}

TEST(Effects, NothingIsTouchedWhileAllAreOn) {
  const Inputs in = everything(), same = without_switched_off(in);
  EXPECT_EQ(predict_step(same).digest, predict_step(in).digest);
  EXPECT_EQ(same.library.launch.value, in.library.launch.value);
  EXPECT_EQ(same.run.buckets.cycle, in.run.buckets.cycle);
}

}  // namespace
}  // namespace lockstep
