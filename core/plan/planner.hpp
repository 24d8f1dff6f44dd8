// From what the user asked for to a step program: buckets, algorithms, schedules.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/plan/step_program.hpp"
#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// What the planner may ask for and needs no simulator to know: the cost of an allreduce on the cluster at hand.
using CostTable = std::function<Time(const CollectivePlan&)>;

/// Lays out the allreduce of `elements` values as `run.allreduce` says, but for its `per_bucket`. `Auto` algorithms take the cheapest candidate by `costs`
/// (ties: the earlier in the list ring, halving_doubling, tree in one node, node_tree over several, hierarchical, nvls; torus and three_phase only where they are asked for). Local ranks are
/// packed `node_gpus` per node.
/// `library`: needed by `Library` and `Nvls`; a cost of Time::never() rules a candidate out; ConfigError (key "allreduce.protocol" or "allreduce.among") if all are.
CollectivePlan plan_allreduce(const RunSpec& run, const NodeSpec& node, int node_gpus, std::int64_t elements,
                              int element_bytes, const CostTable& costs, const LibrarySpec* library = nullptr);

/// All concrete candidates for a request, in the order in which ties are broken. `Library`: what `run.allreduce.among` leaves of the ring and the tree of nodes for every protocol of
/// `library` (or for `run.allreduce.protocol`), with no more channels over several nodes than there are NICs and with the protocol's chunks. A tree's
/// chunk is that of tree_chunk(); LL and LL128, which pass lines on as they come (NVIDIA/nccl, ncclLLPrimitives), cut a channel's part into sixteen at least, not below 256 bytes. Last NVLS, where
/// the library would have it; its chunk is cut for small sizes as src/enqueue.cc of NCCL does. `Auto`: NVLS last, where no_nvls() is silent.
/// Throws ConfigError (key "allreduce.algorithm") for `Library` without a library that has a rule and for `Nvls` on several ranks where no_nvls() objects.
std::vector<CollectivePlan> allreduce_candidates(const RunSpec& run, const NodeSpec& node, int node_gpus,
                                                 std::int64_t elements, int element_bytes,
                                                 const LibrarySpec* library = nullptr);

/// The whole step program of `run`, whose buckets go by bucket_algorithm() each, for steps of `global_batch` images on nodes like `node`. `ready`: time at
/// which each tensor's gradient is complete after the start of backward (needed by the Horovod-like policy only; may be empty otherwise).
StepProgram plan_step(const RunSpec& run, std::int64_t global_batch, const NodeSpec& node,
                      std::shared_ptr<const ModelGraph> fused, const std::vector<Time>& ready, const CostTable& costs,
                      const LibrarySpec* library = nullptr);

/// GPUs of one node that the run uses: all of them, or fewer when the world is smaller than a node.
int gpus_per_node_used(const RunSpec& run, const NodeSpec& node);

}  // namespace lockstep
