// What a run is cut into before it runs: gradient buckets, their allreduce schedules, and what the alternatives would cost. `lockstep plan`.
#pragma once

#include <string>
#include <vector>

#include "core/plan/collective.hpp"
#include "experiments/compose.hpp"

namespace lockstep {

/// One way to reduce every bucket.
struct PlanCandidate {
  std::string algorithm;    ///< its phases
  std::vector<Time> costs;  ///< per bucket, alone on the cluster
};

struct CostedPlan {
  StepProgram program;
  std::vector<CollectiveCount> counts;  ///< of every bucket's schedule
  std::vector<Time> costs;              ///< of every bucket's schedule, alone on the cluster, launch left out
  std::vector<PlanCandidate> candidates;
  int gpus = 1, node_gpus = 1;
  sim::CostSource costs_by = sim::CostSource::Events, candidates_by = sim::CostSource::Events;
};

/// Plans one step. `simulate` costs by events whatever the number of ranks (slow for rings over many nodes). `progress` may be empty; false leaves out the
/// candidates' costs from there on. Throws ConfigError.
CostedPlan plan_and_cost(const Inputs& inputs, bool simulate, const Progress& progress);

std::string to_text(const CostedPlan& plan);
/// {"buckets": [...], "costs_by", "candidates_by", "digest"}; times in us.
std::string to_json(const CostedPlan& plan);

}  // namespace lockstep
