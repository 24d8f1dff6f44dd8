// What collectives take from the computation beside them.
#include "sim/step/contention.hpp"

#include <gtest/gtest.h>

#include "experiments/compose.hpp"
#include "experiments/inputs/read_inputs.hpp"

namespace lockstep {
namespace {

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;

Inputs abci(const std::vector<std::string>& more) {
  std::vector<std::string> sets{"cluster.gpus=32", "training.global_batch=1280", "simulation.noise=false",
                                "output.trace_ranks=[]", "output.curve=[]"};
  sets.insert(sets.end(), more.begin(), more.end());
  return read_inputs(kSource / "experiments/fujitsu_abci_2048/run.toml", sets, {kSource / "data"});
}

GpuSpec gpu() {
  GpuSpec g;
  g.multiprocessors = Sourced(80);
  g.memory_achieved = Sourced(Bandwidth::gigabytes_per_second(800));
  return g;
}

TEST(Contention, LoadByHand) {
  // A ring over 4 ranks sends 2 x 3/4 of 4,000 B = 6,000 B per rank; 3 B of memory traffic each, in 1 us: 18 GB/s.
  CollectiveRequest request;
  request.world_size = 4, request.node_gpus = 4, request.elements = 1000, request.element_bytes = 4;
  LibrarySpec library;
  library.channels = Sourced(8);
  library.memory_per_byte = Sourced(3.0);
  const auto load = sim::kernel_load(plan_collective(request), library, gpu(), Time::microseconds(1));
  EXPECT_EQ(load.multiprocessors, 8);
  EXPECT_EQ(load.memory, 18000000000);
  EXPECT_TRUE(sim::kernel_load(plan_collective(request), library, gpu(), Time::zero()).none());
  EXPECT_TRUE(sim::kernel_load(plan_collective(request), library, GpuSpec{}, Time::microseconds(1)).none());
}

TEST(Contention, FewRingsFewChannels) {
  // Two rings over four GPUs: four channels, although the library has eight; six rings: all eight.
  LibrarySpec library;
  library.channels = Sourced(8);
  for (const auto& [rings, channels] : {std::pair{2, 4}, {6, 8}}) {
    CollectiveRequest request;
    request.world_size = 4, request.node_gpus = 4, request.elements = 1000;
    request.ring_orders.assign(static_cast<std::size_t>(rings), {0, 1, 2, 3});
    EXPECT_EQ(sim::kernel_load(plan_collective(request), library, gpu(), Time::microseconds(1)).multiprocessors,
              channels);
  }
}

TEST(Contention, SlowdownByHand) {
  // 8 of 80 multiprocessors and 200 of 800 GB/s: arithmetic takes 80/72, memory 4/3 as long. Nothing takes all.
  const sim::Slowdown s = sim::slowdown({8, 200000000000}, gpu());
  EXPECT_DOUBLE_EQ(s.compute, 80.0 / 72);
  EXPECT_DOUBLE_EQ(s.memory, 4.0 / 3);
  EXPECT_DOUBLE_EQ(sim::slowdown({200, 0}, gpu()).compute, 10);
  EXPECT_EQ(sim::slowdown({}, gpu()), sim::Slowdown{});
}

TEST(Contention, SwitchedOffIsALibraryWithoutKernels) {
  // Equal to the picosecond and event by event: lanes that nothing slows down take the path without reactions.
  Inputs bare = abci({});
  bare.library.channels.value = 0;
  bare.library.memory_per_byte.value = 0;
  const StepPrediction off = predict_step(abci({"effects.contention=false"})), none = predict_step(bare);
  EXPECT_EQ(off.step, none.step);
  EXPECT_EQ(off.digest, none.digest);
}

TEST(Contention, ReactingLanesThatLoseNothingAgree) {
  // One byte per second of memory traffic: the lanes react at every begin and end, and lose less than a nanosecond of 40 ms.
  Inputs light = abci({});
  light.library.channels.value = 0;
  light.library.memory_per_byte.value = 1e-9;
  const StepPrediction off = predict_step(abci({"effects.contention=false"})), on = predict_step(light);
  EXPECT_LE(std::abs((on.step - off.step).picoseconds()), 1000);
}

TEST(Contention, SlowsTheBackwardPassOnly) {
  const StepPrediction off = predict_step(abci({"effects.contention=false"})), on = predict_step(abci({}));
  EXPECT_GT(on.step, off.step);
  EXPECT_EQ(on.parts.forward, off.parts.forward);
  EXPECT_GT(on.parts.backward, off.parts.backward);
  EXPECT_EQ(on.parts.update, off.parts.update);
  // 8 of 80 multiprocessors: not more than a ninth, nor than memory's share at most.
  EXPECT_LT(on.parts.backward / off.parts.backward, 1.3);
  // The first bucket is full before any collective runs; later ones are later.
  EXPECT_EQ(on.buckets.front().ready, off.buckets.front().ready);
  EXPECT_GT(on.buckets.back().ready, off.buckets.back().ready);
}

TEST(Contention, WithoutOverlapThereIsNothingToSlowDown) {
  const StepPrediction off = predict_step(abci({"effects.contention=false", "allreduce.overlap=false"})),
                       on = predict_step(abci({"allreduce.overlap=false"}));
  EXPECT_EQ(on.step, off.step);
}

TEST(Contention, MoreChannelsSlowMore) {
  Time last;
  // Six rings in a node of ABCI, each used twice at most: more than 12 channels are never open.
  for (const int channels : {1, 4, 8, 12}) {
    Inputs in = abci({});
    in.library.channels.value = channels;
    const Time step = predict_step(in).step;
    EXPECT_GT(step, last) << channels;
    last = step;
  }
  Inputs in = abci({});
  in.library.channels.value = 32;
  EXPECT_EQ(predict_step(in).step, last);
}

}  // namespace
}  // namespace lockstep
