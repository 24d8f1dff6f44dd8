#include "experiments/queries/costed_plan.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/units_text.hpp"
#include "core/plan/planner.hpp"
#include "experiments/effects.hpp"

namespace lockstep {

namespace {

std::string phases_text(const CollectivePlan& plan) {
  std::string text;
  for (const Phase& p : plan.phases) text += (text.empty() ? "" : " -> ") + p.name();
  return text.empty() ? "nothing to do" : text;
}

}  // namespace

CostedPlan plan_and_cost(const Inputs& given, bool simulate, const Progress& progress) {
  const Inputs inputs = without_switched_off(given);
  const sim::WorldSettings settings{inputs.run, inputs.cluster, inputs.gpu, inputs.library, {}};
  const sim::SimWorld world(settings);
  CostedPlan plan;
  plan.program = make_program(inputs, world, inputs.run.training.global_batch);
  plan.gpus = inputs.run.cluster.gpus;
  plan.node_gpus = gpus_per_node_used(inputs.run, inputs.cluster.node);
  plan.simulated = simulate;
  for (const CollectivePlan& collective : plan.program.collectives) {
    plan.counts.push_back(count(collective));
    plan.costs.push_back(world.cost(collective));
  }
  RunSpec open = inputs.run;
  open.allreduce.algorithm = AllreduceAlgorithm::Auto;
  open.allreduce.across = AllreduceAlgorithm::Auto;
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
      plan.candidates[c].costs.push_back(simulate ? simulate_collective(settings, candidates[c]).time
                                                  : world.cost(candidates[c]));
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
                                  {"algorithm", to_text(program.collectives[b].algorithm)},
                                  {"messages", plan.counts[b].messages},
                                  {"bytes_sent", plan.counts[b].elements_sent * bucket.element_bytes},
                                  {"longest_lane", plan.counts[b].longest},
                                  {"cost_us", plan.costs[b].microseconds()}};
    for (const PlanCandidate& c : plan.candidates)
      if (b < c.costs.size()) row["candidates_us"][c.algorithm] = c.costs[b].microseconds();
    j["buckets"].push_back(row);
  }
  j["digest"] = fmt::format("{:016x}", program.digest);
  return j.dump(2) + "\n";
}

std::string to_text(const CostedPlan& plan) {
  const StepProgram& program = plan.program;
  std::string out =
      fmt::format("{} gradients in {} buckets ({}), {} in all; {} ranks, {} per node\n", program.graph->tensors.size(),
                  program.buckets.buckets.size(), to_text(program.buckets.policy), to_text(program.buckets.total()),
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
  if (!program.collectives.empty())
    out += fmt::format("\nschedule of bucket 0: {}\n", phases_text(program.collectives.front()));
  out += fmt::format("\ncost of every candidate, all buckets one after the other ({})\n",
                     plan.simulated ? "simulated alone on the cluster" : "closed-form estimate; --simulate for events");
  for (const PlanCandidate& candidate : plan.candidates) {
    Time sum;
    for (Time t : candidate.costs) sum += t;
    out += fmt::format("  {:>11}  {}\n", to_text(sum), candidate.algorithm);
  }
  return out;
}

}  // namespace lockstep
