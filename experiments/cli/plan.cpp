#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/units_text.hpp"
#include "core/plan/planner.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/effects.hpp"

namespace lockstep::cli {

namespace {

struct Options {
  RunOptions run;
  bool json = false;
  bool simulate = false;
};

std::string phases_text(const CollectivePlan& plan) {
  std::string text;
  for (const Phase& p : plan.phases) text += (text.empty() ? "" : " -> ") + p.name();
  return text.empty() ? "nothing to do" : text;
}

int plan(const Context& context, const Options& options) {
  const Inputs inputs = without_switched_off(load(context, options.run));
  const sim::WorldSettings settings{inputs.run, inputs.cluster, inputs.gpu, inputs.library, {}};
  const sim::SimWorld world(settings);
  const StepProgram program = make_program(inputs, world, inputs.run.training.global_batch);
  const auto& run = inputs.run;
  const int node_gpus = gpus_per_node_used(run, inputs.cluster.node);

  // What every candidate would cost, per bucket.
  struct Row {
    std::string algorithm;
    std::vector<Time> costs;
  };
  RunSpec open = run;
  open.allreduce.algorithm = AllreduceAlgorithm::Auto;
  open.allreduce.across = AllreduceAlgorithm::Auto;
  std::vector<Row> rows;
  const Progress progress = progress_line(context);
  for (std::size_t b = 0; b < program.buckets.buckets.size(); ++b) {
    if (!progress(static_cast<double>(b) / static_cast<double>(program.buckets.buckets.size()),
                  "costing bucket " + std::to_string(b)))
      return kInterrupted;
    const Bucket& bucket = program.buckets.buckets[b];
    const auto candidates =
        allreduce_candidates(open, inputs.cluster.node, node_gpus, bucket.elements, bucket.element_bytes);
    rows.resize(candidates.size());
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      rows[c].algorithm = phases_text(candidates[c]);
      rows[c].costs.push_back(options.simulate ? simulate_collective(settings, candidates[c]).time
                                               : world.cost(candidates[c]));
    }
  }

  if (options.json) {
    nlohmann::ordered_json j;
    for (std::size_t b = 0; b < program.buckets.buckets.size(); ++b) {
      const Bucket& bucket = program.buckets.buckets[b];
      const CollectiveCount n = count(program.collectives[b]);
      nlohmann::ordered_json row = {{"bucket", b},
                                    {"tensors", bucket.tensors.size()},
                                    {"bytes", bucket.bytes().count()},
                                    {"last_layer", program.graph->layer(bucket.last_layer).name},
                                    {"algorithm", to_text(program.collectives[b].algorithm)},
                                    {"messages", n.messages},
                                    {"bytes_sent", n.elements_sent * bucket.element_bytes},
                                    {"longest_lane", n.longest},
                                    {"cost_us", world.cost(program.collectives[b]).microseconds()}};
      for (const Row& r : rows) row["candidates_us"][r.algorithm] = r.costs[b].microseconds();
      j["buckets"].push_back(row);
    }
    j["digest"] = fmt::format("{:016x}", program.digest());
    fmt::print("{}\n", j.dump(2));
    return kDone;
  }

  fmt::print("{} gradients in {} buckets ({}), {} in all; {} ranks, {} per node\n", program.graph->tensors.size(),
             program.buckets.buckets.size(), to_text(program.buckets.policy), to_text(program.buckets.total()),
             run.cluster.gpus, node_gpus);
  const auto& c = program.buckets.coordination;
  fmt::print("coordination: {}\n\n", c.negotiated ? "a round over all ranks per cycle of " + to_text(c.cycle)
                                     : c.cycle > Time::zero()
                                         ? "none; a launching thread looks every " + to_text(c.cycle)
                                         : "none");
  fmt::print(
      "bucket  tensors        size  complete after backward of        messages   sent in all  steps        cost\n");
  for (std::size_t b = 0; b < program.buckets.buckets.size(); ++b) {
    const Bucket& bucket = program.buckets.buckets[b];
    const CollectiveCount n = count(program.collectives[b]);
    fmt::print("{:>6} {:>8} {:>11}  {:<28} {:>12} {:>13} {:>6} {:>11}\n", b, bucket.tensors.size(),
               to_text(bucket.bytes()), program.graph->layer(bucket.last_layer).name, n.messages,
               to_text(Bytes(n.elements_sent * bucket.element_bytes)), n.longest,
               to_text(world.cost(program.collectives[b])));
  }
  if (!program.collectives.empty())
    fmt::print("\nschedule of bucket 0: {}\n", phases_text(program.collectives.front()));
  fmt::print("\ncost of every candidate, all buckets one after the other ({})\n",
             options.simulate ? "simulated alone on the cluster" : "closed-form estimate; --simulate for events");
  for (const Row& r : rows) {
    Time sum;
    for (Time t : r.costs) sum += t;
    fmt::print("  {:>11}  {}\n", to_text(sum), r.algorithm);
  }
  return kDone;
}

}  // namespace

CLI::App* add_plan(CLI::App& app, const Context& context, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("plan", "Gradient buckets and allreduce schedules of a run, their cost, and the alternatives");
  add_run_options(*command, options->run);
  command->add_flag("--simulate", options->simulate,
                    "Cost the candidates by simulation instead of closed forms (slow for rings over many nodes)");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Examples:\n  lockstep plan experiments/fujitsu_abci_2048/run.toml\n  lockstep plan RUN.toml --set "
      "buckets.policy=ddp --set allreduce.algorithm=auto");
  command->callback([&context, options, &run] { run = [&context, options] { return plan(context, *options); }; });
  return command;
}

}  // namespace lockstep::cli
