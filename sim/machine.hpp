// The part of a simulated cluster that a job has: who sits where, the links, and what planners and the engine know of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/spec/cluster_spec.hpp"
#include "core/spec/library_spec.hpp"
#include "core/spec/run_spec.hpp"
#include "sim/network/collective_engine.hpp"
#include "sim/network/estimate.hpp"
#include "sim/network/fabric.hpp"

namespace lockstep::sim {

/// Ranks to GPUs of the fabric: packed fills node after node; spread takes nodes at equal distances over the cluster; random takes
/// a seeded choice of nodes. Ranks of a node stay together in all three. Throws ConfigError (key "cluster.gpus") if the cluster has fewer GPUs.
std::vector<int> place(Placement placement, int world_size, const ClusterSpec& cluster, std::uint64_t seed);

/// Of a run on `run.cluster.gpus` GPUs. Its members refer to each other, so it stays where it is.
struct Machine {
  /// `capability`: of the GPU. Throws ConfigError as place() does, and for links that the cluster does not have.
  Machine(const RunSpec& run, const ClusterSpec& cluster, LibrarySpec library, int capability);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  int world;
  std::vector<int> gpu_of_rank;
  ClusterSpec planned;  ///< as planners see it: without NVLink pairs that have failed anywhere in this world
  LibrarySpec library;  ///< as its file has it
  Fabric fabric;        ///< links as the run has them: slow ones slow, failed ones gone
  EngineSettings engine;
  EstimateContext context;
};

/// A fabric of the same nodes whose links are all as the cluster file has them; none where the machine's own is such a one.
std::optional<Fabric> sound_fabric(const Machine& machine, const RunSpec& run, const ClusterSpec& cluster);

/// Time of a bare collective, launch included: a row of nccl-tests. Local rank i enters i x `stagger` after local rank 0: one process
/// that drives all GPUs of a node launches on one after the other.
struct CollectiveTime {
  Time time;
  std::string protocol;
  std::int64_t messages = 0;
};
/// `plan`: of all ranks of the machine, by `protocol` ("auto": choose_protocol()).
CollectiveTime simulate_collective(Machine& machine, const CollectivePlan& plan, const std::string& protocol = "auto",
                                   Time stagger = Time::zero());

}  // namespace lockstep::sim
