#include "experiments/queries/costed_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/units_text.hpp"
#include "core/plan/planner.hpp"
#include "core/spec/words.hpp"
#include "experiments/effects.hpp"

namespace lockstep {

namespace {

std::string phases_text(const CollectivePlan& plan) {
  std::string text;
  for (const Phase& p : plan.phases) text += (text.empty() ? "" : " -> ") + p.name();
  return text.empty() ? "nothing to do" : text;
}

const char* text_of(sim::CostSource source) {
  switch (source) {
    case sim::CostSource::Events: return "simulated alone on the cluster, every message";
    case sim::CostSource::Folded:
      return "simulated alone on the cluster, nodes of each kind for all; --simulate: every message";
    case sim::CostSource::Library: break;
  }
  return "by the library's own estimate; --simulate: every message";
}

const char* word_of(sim::CostSource source) {
  switch (source) {
    case sim::CostSource::Events: return "events";
    case sim::CostSource::Folded: return "folded";
    case sim::CostSource::Library: break;
  }
  return "library";
}

/// The buckets that go by the same schedule, as "0, 3 to 5".
std::string ranges(const std::vector<std::size_t>& buckets) {
  std::string text;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const std::size_t first = i;
    while (i + 1 < buckets.size() && buckets[i + 1] == buckets[i] + 1) ++i;
    text += (text.empty() ? "" : ", ") + std::to_string(buckets[first]);
    if (i > first) text += (i > first + 1 ? " to " : ", ") + std::to_string(buckets[i]);
  }
  return text;
}

/// Every schedule in use, with its buckets.
std::string schedules_text(const StepProgram& program) {
  std::vector<std::pair<std::string, std::vector<std::size_t>>> groups;
  for (std::size_t b = 0; b < program.collectives.size(); ++b) {
    const std::string phases = phases_text(program.collectives[b]);
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == phases; });
    if (known == groups.end())
      groups.push_back({phases, {b}});
    else
      known->second.push_back(b);
  }
  std::string text;
  for (const auto& [phases, buckets] : groups)
    text += fmt::format("schedule of bucket{} {}: {}\n", buckets.size() > 1 ? "s" : "", ranges(buckets), phases);
  return text;
}

}  // namespace

CostedPlan plan_and_cost(const Inputs& given, bool simulate, const Progress& progress) {
  const Inputs inputs = without_switched_off(given);
  const sim::SimWorld world({inputs.run, inputs.cluster, inputs.gpu, inputs.library, {}});
  CostedPlan plan;
  plan.program = make_program(inputs, world, inputs.run.training.global_batch);
  plan.gpus = inputs.run.cluster.gpus;
  plan.node_gpus = gpus_per_node_used(inputs.run, inputs.cluster.node);
  const auto cost = [&](const CollectivePlan& p) {
    return simulate ? world.costs().by_events(p) : world.costs().of(p);
  };
  const auto source = [&](const CollectivePlan& p) {
    return simulate ? sim::CostSource::Events : sim::PlanCosts::source(p);
  };
  for (const CollectivePlan& collective : plan.program.collectives) {
    plan.counts.push_back(count(collective));
    plan.costs.push_back(cost(collective));
    plan.costs_by = source(collective);
  }
  plan.candidates_by = simulate ? sim::CostSource::Events : sim::PlanCosts::source(plan.gpus);
  RunSpec open = inputs.run;
  open.allreduce.algorithm = AllreduceAlgorithm::Auto;
  open.allreduce.across = AllreduceAlgorithm::Auto;
  open.allreduce.per_bucket.clear();
  const auto& buckets = plan.program.buckets.buckets;
  for (std::size_t b = 0; b < buckets.size(); ++b) {
    if (progress &&
        !progress(static_cast<double>(b) / static_cast<double>(buckets.size()), "costing bucket " + std::to_string(b)))
      break;
    const auto candidates = allreduce_candidates(open, world.planning_node(), plan.node_gpus, buckets[b].elements,
                                                 buckets[b].element_bytes, &inputs.library);
    plan.candidates.resize(candidates.size());
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      plan.candidates[c].algorithm = phases_text(candidates[c]);
      plan.candidates[c].costs.push_back(cost(candidates[c]));
    }
  }
  return plan;
}

std::string to_json(const CostedPlan& plan) {
  const StepProgram& program = plan.program;
  nlohmann::ordered_json j;
  for (std::size_t b = 0; b < program.buckets.buckets.size(); ++b) {
    const Bucket& bucket = program.buckets.buckets[b];
    nlohmann::ordered_json row = {{"bucket", b},
                                  {"tensors", bucket.tensors.size()},
                                  {"bytes", bucket.bytes().count()},
                                  {"last_layer", program.graph->layer(bucket.last_layer).name},
                                  {"algorithm", word_of(program.collectives[b].algorithm)},
                                  {"messages", plan.counts[b].messages},
                                  {"bytes_sent", plan.counts[b].elements_sent * bucket.element_bytes},
                                  {"longest_lane", plan.counts[b].longest},
                                  {"cost_us", plan.costs[b].microseconds()}};
    for (const PlanCandidate& c : plan.candidates)
      if (b < c.costs.size()) row["candidates_us"][c.algorithm] = c.costs[b].microseconds();
    j["buckets"].push_back(row);
  }
  j["costs_by"] = word_of(plan.costs_by);
  j["candidates_by"] = word_of(plan.candidates_by);
  j["digest"] = fmt::format("{:016x}", program.digest);
  return j.dump(2) + "\n";
}

std::string to_text(const CostedPlan& plan) {
  const StepProgram& program = plan.program;
  std::string out =
      fmt::format("{} gradients in {} buckets ({}), {} in all; {} ranks, {} per node\n", program.graph->tensors.size(),
                  program.buckets.buckets.size(), word_of(program.buckets.policy), to_text(program.buckets.total()),
                  plan.gpus, plan.node_gpus);
  const auto& c = program.buckets.coordination;
  out += fmt::format("coordination: {}\n\n", c.negotiated ? "a round over all ranks per cycle of " + to_text(c.cycle)
                                             : c.cycle > Time::zero()
                                                 ? "none; a launching thread looks every " + to_text(c.cycle)
                                                 : "none");
  out += "bucket  tensors        size  complete after backward of        messages   sent in all  steps        cost\n";
  for (std::size_t b = 0; b < program.buckets.buckets.size(); ++b) {
    const Bucket& bucket = program.buckets.buckets[b];
    const CollectiveCount& n = plan.counts[b];
    out += fmt::format("{:>6} {:>8} {:>11}  {:<28} {:>12} {:>13} {:>6} {:>11}\n", b, bucket.tensors.size(),
                       to_text(bucket.bytes()), program.graph->layer(bucket.last_layer).name, n.messages,
                       to_text(Bytes(n.elements_sent * bucket.element_bytes)), n.longest, to_text(plan.costs[b]));
  }
  out += fmt::format("\ncosts are {}\n", text_of(plan.costs_by));
  out += schedules_text(program);
  out += fmt::format("\ncost of every candidate, all buckets one after the other ({})\n", text_of(plan.candidates_by));
  for (const PlanCandidate& candidate : plan.candidates) {
    Time sum;
    for (Time t : candidate.costs) sum += t;
    out += fmt::format("  {:>11}  {}\n", to_text(sum), candidate.algorithm);
  }
  return out;
}

}  // namespace lockstep
