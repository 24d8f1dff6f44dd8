// A rank's state as a checkpoint of the whole job, and back.
#pragma once

#include <string>

#include "core/run/world.hpp"
#include "real/checkpoint/checkpoint.hpp"
#include "real/comm/transport.hpp"
#include "real/world/device.hpp"

namespace lockstep {

/// What must be equal for a checkpoint to fit a model: "resnet50 with 161 tensors, 25557032 parameters, shapes 0123456789abcdef".
std::string shape_of(const ModelGraph& graph);

/// What rank 0 writes: weights and velocity (equal everywhere), the moving averages of every rank, the loop's state. Every rank calls it; complete on
/// rank 0 only.
Checkpoint gather_snapshot(Transport& transport, const ModelGraph& graph, std::uint64_t seed, const ModelState& mine,
                           const LoopState& loop);

/// Why a checkpoint does not belong to this run (another model, another seed): ConfigError naming `path`. Rank 0 only.
void expect_snapshot_of(const Checkpoint& checkpoint, const std::string& path, const ModelGraph& graph,
                        std::uint64_t seed);

/// Hands what rank 0 read to every rank: each gets its own moving averages, or with another number of ranks than wrote them the mean of all. The sizes
/// of `state` are those of the model.
struct Restored {
  LoopState loop;
  int ranks = 0;  ///< that wrote it
};
Restored scatter_snapshot(Transport& transport, const Checkpoint& checkpoint, ModelState& state);

}  // namespace lockstep
