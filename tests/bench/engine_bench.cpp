// How long whole simulations take: every message of every rank, nothing folded. Each work runs in a process of its own, so
// that its peak memory is its own. `engine_bench DATA [word]`: only works whose name contains the word.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "experiments/inputs/read_inputs.hpp"
#include "sim/network/collective_engine.hpp"
#include "sim/sim_world.hpp"
#include "sim/step/step_simulation.hpp"
#include "tests/bench/engine_works.hpp"

namespace lockstep::bench {
namespace {

struct Outcome {
  double wall = 0;
  double cpu = 0;  ///< on a busy machine the better figure
  std::int64_t messages = 0;
  std::int64_t simulated_ps = 0;
};

struct Work {
  std::string name;
  double at_most;  ///< seconds, what was asked for
  std::function<Outcome()> run;
};

template <class F>
void measure(Outcome& o, const F& f) {
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  f();
  o.wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  o.cpu = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
}

sim::EngineSettings settings(int ranks, int gpus_per_node) {
  sim::EngineSettings s;
  s.library.name = "plain";
  s.library.protocols.emplace_back();
  for (int r = 0; r < ranks; ++r) s.gpu_of_rank.push_back(r);
  s.gpus_per_node = gpus_per_node;
  return s;
}

CollectiveRequest request(AllreduceAlgorithm algorithm, int gpus_per_node, std::int64_t elements = kElements) {
  CollectiveRequest r;
  r.algorithm = algorithm;
  r.across = AllreduceAlgorithm::Ring;
  r.world_size = kRanks;
  r.node_gpus = gpus_per_node;
  r.elements = elements;
  return r;
}

Outcome allreduce(const ClusterSpec& cluster, AllreduceAlgorithm algorithm) {
  Outcome o;
  measure(o, [&] {
    sim::Fabric fabric(cluster, cluster.nodes, Routing::Static, 1, {}, {.gpudirect = true});
    const CollectivePlan plan = plan_collective(request(algorithm, cluster.node.gpus));
    const auto s = settings(kRanks, cluster.node.gpus);
    o.simulated_ps = sim::bare_collective_time(fabric, s, plan, 0, {}, nullptr, &o.messages).picoseconds();
  });
  return o;
}

Outcome iteration() {
  Outcome o;
  const Iteration it = resnet50_iteration();
  measure(o, [&] {
    const ClusterSpec cluster = flat_cluster(kRanks);
    sim::Fabric fabric(cluster, kRanks, Routing::Static, 1, {}, {.gpudirect = true});
    std::vector<CollectivePlan> plans;
    for (const Bucket& b : it.buckets.buckets)
      plans.push_back(plan_collective(request(AllreduceAlgorithm::Ring, 1, b.elements)));
    const StepProgram program = build_step_program(std::make_shared<const ModelGraph>(it.graph), it.buckets, plans, 1,
                                                   true, UpdateTime::Whole, kRanks);
    sim::RankDurations durations;
    durations.of_op.resize(program.ops.size());
    bool first = true;
    for (const Op& op : program.ops) {
      Time& length = durations.of_op[op.id.index()];
      if (op.kind == OpKind::Forward && std::exchange(first, false)) length = Time::seconds(Iteration::kForward);
      if (op.kind == OpKind::Backward) length = it.backward_of_layer[op.layer.index()];
    }
    sim::StepInput input;
    input.program = &program;
    for (const auto& plan : plans)
      input.collectives.push_back({std::make_shared<const CollectivePlan>(plan), 0, Time::zero(), {}, {}});
    input.durations.assign(kRanks, &durations);
    input.factors.assign(kRanks, 1.0);
    sim::StepSimulation step(fabric, settings(kRanks, 1), kRanks);
    o.simulated_ps = step.run(input).elapsed.picoseconds();
    o.messages = step.messages();
  });
  return o;
}

Outcome abci(const std::string& data, std::vector<std::string> sets) {
  Outcome o;
  sets.insert(sets.end(), {"simulation.fold=none", "output.trace_ranks=[]"});
  const Inputs inputs = read_inputs(data + "/../experiments/fujitsu_abci_2048/run.toml", sets, {data});
  measure(o, [&] {
    const StepPrediction p = predict_step(inputs);
    o.messages = p.messages;
    o.simulated_ps = p.step.picoseconds();
  });
  return o;
}

ClusterSpec abci_cluster(const std::string& data) {
  ClusterSpec c = read_cluster("abci", {data});
  c.nodes = kRanks / c.node.gpus;
  return c;
}

/// Runs one work in a child and prints its row. False if the child failed.
bool row(const Work& work) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    int code = 1;
    try {
      const Outcome o = work.run();
      if (write(ends[1], &o, sizeof o) == static_cast<ssize_t>(sizeof o)) code = 0;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s: %s\n", work.name.c_str(), e.what());
    }
    _exit(code);
  }
  close(ends[1]);
  Outcome o;
  const bool got = read(ends[0], &o, sizeof o) == static_cast<ssize_t>(sizeof o);
  close(ends[0]);
  int status = 0;
  rusage use{};
  wait4(child, &status, 0, &use);
  if (!got || status != 0) {
    std::printf("| %s | failed | | | | | | |\n", work.name.c_str());
    return false;
  }
  const auto messages = static_cast<double>(o.messages);
  std::printf("| %s | %.2f | %.2f | %.1f | %.2f | %.2f | %.0f | %.9f |\n", work.name.c_str(), o.wall, o.cpu,
              work.at_most, messages / 1e6, messages / 1e6 / o.wall, static_cast<double>(use.ru_maxrss) / 1024,
              static_cast<double>(o.simulated_ps) * 1e-9);
  return true;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  using namespace lockstep;
  using namespace lockstep::bench;
  if (argc < 2) {
    std::fprintf(stderr, "usage: engine_bench DATA [word]     DATA: the repository's data folder\n");
    return 2;
  }
  const std::string data = argv[1], word = argc > 2 ? argv[2] : "";
  const std::vector<Work> works = {
      {"ring, 2,048 ranks, flat", 0.8, [] { return allreduce(flat_cluster(kRanks), AllreduceAlgorithm::Ring); }},
      {"ring, 2,048 ranks, two-level fat tree", 2,
       [] { return allreduce(tree_cluster(kRanks / kTreeGpus), AllreduceAlgorithm::Ring); }},
      {"four rings over 512 nodes, 2 NICs each", 3,
       [&] { return allreduce(abci_cluster(data), AllreduceAlgorithm::Hierarchical); }},
      {"ResNet-50 step, 2,048 ranks, flat ring, 5 buckets", 5, [] { return iteration(); }},
      {"ABCI step, tree across nodes", 0.5,
       [&] {
         return abci(data, {"allreduce.across=tree", "simulation.noise=false"});
       }},
      {"ABCI step, halving-doubling across nodes", 0.5,
       [&] {
         return abci(data, {"allreduce.across=halving_doubling", "simulation.noise=false"});
       }},
      {"ABCI step, ring across nodes, jitter", 5,
       [&] {
         return abci(data, {"allreduce.across=ring", "simulation.noise=true", "simulation.sampled_steps=1"});
       }},
  };
  std::printf("| work | wall s | cpu s | at most | million messages | million/s | peak MiB | simulated ms |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  bool good = true;
  for (const Work& work : works) {
    if (work.name.find(word) != std::string::npos) good = row(work) && good;
  }
  return good ? 0 : 1;
}
