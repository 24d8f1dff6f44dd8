// A bare allreduce of the shipped files, for tests of what limits it.
#pragma once

#include <stdexcept>
#include <string>

#include "core/plan/planner.hpp"
#include "experiments/compose.hpp"
#include "experiments/config_io/config_io.hpp"
#include "sim/machine.hpp"

namespace lockstep {

inline const DataPaths kShipped{std::string(LOCKSTEP_SOURCE_DIR) + "/data"};

/// A bare allreduce over `gpus` GPUs of a cluster.
struct BareJob {
  BareJob(const std::string& cluster, const std::string& library, int gpus,
          AllreduceAlgorithm algorithm = AllreduceAlgorithm::Ring, const std::string& protocol = "auto") {
    in.cluster = read_cluster(cluster, kShipped);
    in.library = read_library(library, kShipped);
    in.gpu = read_gpu(in.cluster.node.gpu, kShipped);
    in.run.cluster.gpus = gpus;
    in.run.allreduce.algorithm = algorithm;
    in.run.allreduce.protocol = protocol;
  }
  sim::EstimateContext context() const {
    return sim::estimate_context(in.cluster, in.library, gpus_per_node_used(in.run, in.cluster.node), in.run,
                                 in.gpu.compute_capability);
  }
  CollectivePlan plan(Bytes size) const {
    const sim::EstimateContext c = context();
    return plan_allreduce(
        in.run, in.cluster.node, gpus_per_node_used(in.run, in.cluster.node), size.count() / 4, 4,
        [&](const CollectivePlan& p) {
          return sim::estimate(p, c, sim::choose_protocol(p, c, in.run.allreduce.protocol));
        },
        &in.library);
  }
  sim::CollectiveTime time(Bytes size) const {
    sim::Machine machine(in.run, in.cluster, in.library, in.gpu.compute_capability);
    return sim::simulate_collective(machine, plan(size), in.run.allreduce.protocol);
  }
  std::string chosen(Bytes size) const {
    const int p = sim::choose_protocol(plan(size), context(), in.run.allreduce.protocol);
    return in.library.protocols[static_cast<std::size_t>(p)].name;
  }
  int number_of(const std::string& protocol) const {
    for (std::size_t p = 0; p < in.library.protocols.size(); ++p) {
      if (in.library.protocols[p].name == protocol) return static_cast<int>(p);
    }
    throw std::out_of_range(protocol);
  }
  Inputs in;
};

}  // namespace lockstep
