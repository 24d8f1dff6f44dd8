#include "core/plan/planner.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/plan/node_rings.hpp"

namespace lockstep {

namespace {

bool two_level(AllreduceAlgorithm a) {
  return a == AllreduceAlgorithm::Torus || a == AllreduceAlgorithm::Hierarchical || a == AllreduceAlgorithm::ThreePhase;
}

std::vector<AllreduceAlgorithm> choices(AllreduceAlgorithm asked, std::vector<AllreduceAlgorithm> all) {
  if (asked != AllreduceAlgorithm::Auto) return {asked};
  return all;
}

}  // namespace

int gpus_per_node_used(const RunSpec& run, const NodeSpec& node) { return std::min(run.cluster.gpus, node.gpus); }

std::vector<CollectivePlan> allreduce_candidates(const RunSpec& run, const NodeSpec& node, int node_gpus,
                                                 std::int64_t elements, int element_bytes) {
  using A = AllreduceAlgorithm;
  CollectiveRequest request;
  request.world_size = run.cluster.gpus;
  request.node_gpus = node_gpus;
  request.torus_x = run.allreduce.torus_x;
  request.elements = elements;
  request.element_bytes = element_bytes;
  request.chunk = std::max<std::int64_t>(1, run.allreduce.chunk.count() / element_bytes);
  request.ring_orders = node_rings(node, node_gpus, run.allreduce.channels);

  const bool one_node = request.world_size <= node_gpus;
  std::vector<CollectivePlan> plans;
  for (const A algorithm : choices(run.allreduce.algorithm,
                                   one_node ? std::vector{A::Ring, A::HalvingDoubling, A::Tree}
                                            : std::vector{A::Ring, A::HalvingDoubling, A::Tree, A::Hierarchical})) {
    request.algorithm = algorithm;
    const auto across = two_level(algorithm) ? choices(run.allreduce.across, {A::Ring, A::HalvingDoubling, A::Tree})
                                             : std::vector{A::Ring};
    for (const A a : across) {
      request.across = a;
      plans.push_back(plan_collective(request));
    }
  }
  return plans;
}

CollectivePlan plan_allreduce(const RunSpec& run, const NodeSpec& node, int node_gpus, std::int64_t elements,
                              int element_bytes, const CostTable& costs) {
  std::vector<CollectivePlan> plans = allreduce_candidates(run, node, node_gpus, elements, element_bytes);
  LOCKSTEP_EXPECTS(!plans.empty());
  if (plans.size() == 1) return std::move(plans.front());
  std::size_t best = 0;
  Time best_cost = Time::never();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const Time cost = costs(plans[i]);
    if (cost < best_cost) {
      best = i;
      best_cost = cost;
    }
  }
  return std::move(plans[best]);
}

StepProgram plan_step(const RunSpec& run, std::int64_t global_batch, const NodeSpec& node,
                      std::shared_ptr<const ModelGraph> fused, const std::vector<Time>& ready, const CostTable& costs) {
  BucketPlan buckets = plan_buckets(*fused, run.buckets, wire_precision(run), ready);
  std::vector<CollectivePlan> collectives;
  const int node_gpus = gpus_per_node_used(run, node);
  for (const Bucket& bucket : buckets.buckets) {
    collectives.push_back(plan_allreduce(run, node, node_gpus, bucket.elements, bucket.element_bytes, costs));
  }
  return build_step_program(std::move(fused), std::move(buckets), std::move(collectives),
                            accumulation_at(run, global_batch), run.allreduce.overlap, run.optimizer.update,
                            run.cluster.gpus, run.training.norm_group);
}

std::string to_text(AllreduceAlgorithm algorithm) {
  switch (algorithm) {
    case AllreduceAlgorithm::Auto: return "auto";
    case AllreduceAlgorithm::Ring: return "ring";
    case AllreduceAlgorithm::HalvingDoubling: return "halving_doubling";
    case AllreduceAlgorithm::Tree: return "tree";
    case AllreduceAlgorithm::Torus: return "torus";
    case AllreduceAlgorithm::Hierarchical: return "hierarchical";
    case AllreduceAlgorithm::ThreePhase: return "three_phase";
  }
  return "?";
}

}  // namespace lockstep
