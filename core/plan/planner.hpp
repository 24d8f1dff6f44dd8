// From what the user asked for to a step program: buckets, algorithms, schedules.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/plan/step_program.hpp"
#include "core/spec/cluster_spec.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// What the planner may ask for and needs no simulator to know: the cost of an allreduce on the cluster at hand.
using CostTable = std::function<Time(const CollectivePlan&)>;

/// Lays out the allreduce of `elements` values as `run.allreduce` says. `Auto` algorithms take the cheapest candidate by `costs`
/// (ties: the earlier in the list ring, halving_doubling, tree, hierarchical, torus, three_phase). Local ranks are packed `node_gpus` per node.
CollectivePlan plan_allreduce(const RunSpec& run, const NodeSpec& node, int node_gpus, std::int64_t elements,
                              int element_bytes, const CostTable& costs);

/// All concrete candidates for a request, in the order in which ties are broken.
std::vector<CollectivePlan> allreduce_candidates(const RunSpec& run, const NodeSpec& node, int node_gpus,
                                                 std::int64_t elements, int element_bytes);

/// The whole step program of `run` for steps of `global_batch` images on nodes like `node`. `ready`: time at which each tensor's gradient is complete after the start
/// of backward (needed by the Horovod-like policy only; may be empty otherwise).
StepProgram plan_step(const RunSpec& run, std::int64_t global_batch, const NodeSpec& node,
                      std::shared_ptr<const ModelGraph> fused, const std::vector<Time>& ready, const CostTable& costs);

/// GPUs of one node that the run uses: all of them, or fewer when the world is smaller than a node.
int gpus_per_node_used(const RunSpec& run, const NodeSpec& node);

std::string to_text(AllreduceAlgorithm algorithm);

}  // namespace lockstep
