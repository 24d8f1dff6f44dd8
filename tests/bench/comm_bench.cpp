// Allreduce of one buffer between processes: the planner's schedules against the library's own.
//
//   mpirun -n 2 build/bench/comm_bench [LARGEST_MIB]
//
// One row per size and way: best and median over runs of the slowest rank's time, and the bus bandwidth of the best,
// 2 (n - 1)/n bytes / time. The buffer is fp32, the ways in 16 bits send half of its bytes.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "core/plan/collective.hpp"
#include "real/comm/collective_run.hpp"
#include "real/comm/mpi/mpi_transport.hpp"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

struct Way {
  std::string name;
  std::function<void(std::vector<float>& buffer, std::uint32_t sequence)> run;
};

void finish(CollectiveRun& run, bool crowded) {
  for (auto p = run.advance(); p != CollectiveRun::Progress::Done; p = run.advance()) {
    if (crowded && p == CollectiveRun::Progress::None) std::this_thread::yield();
  }
}

CollectivePlan plan_of(AllreduceAlgorithm algorithm, int ranks, std::size_t elements, WireType wire) {
  CollectiveRequest request;
  request.algorithm = algorithm;
  request.world_size = ranks;
  request.node_gpus = ranks;
  request.elements = static_cast<std::int64_t>(elements);
  request.element_bytes = static_cast<int>(wire_bytes(wire));
  return plan_collective(request);
}

void measure(Transport& transport, std::size_t elements) {
  const int ranks = transport.size();
  const bool crowded = ranks > static_cast<int>(std::thread::hardware_concurrency());
  std::vector<float> buffer(elements, 1.0f);
  std::vector<Way> ways;
  ways.push_back({"MPI_Allreduce", [&](std::vector<float>& b, std::uint32_t) {
                    MPI_Allreduce(MPI_IN_PLACE, b.data(), static_cast<int>(b.size()), MPI_FLOAT, MPI_SUM,
                                  MPI_COMM_WORLD);
                  }});
  ways.push_back(
      {"MPI_Iallreduce", [&](std::vector<float>& b, std::uint32_t) { finish(*run_library(b, transport), crowded); }});
  const auto planned = [&](const std::string& name, AllreduceAlgorithm algorithm, WireType wire) {
    ways.push_back(
        {name, [&, wire, plan = plan_of(algorithm, ranks, elements, wire)](std::vector<float>& b, std::uint32_t s) {
           finish(*run_planned(plan, s, b, wire, transport), crowded);
         }});
  };
  planned("ring", AllreduceAlgorithm::Ring, WireType::Fp32);
  planned("halving_doubling", AllreduceAlgorithm::HalvingDoubling, WireType::Fp32);
  planned("tree", AllreduceAlgorithm::Tree, WireType::Fp32);
  planned("ring, fp16", AllreduceAlgorithm::Ring, WireType::Fp16);
  planned("ring, bf16", AllreduceAlgorithm::Ring, WireType::Bf16);
  ways.push_back({"ordered", [&](std::vector<float>& b, std::uint32_t s) {
                    finish(*run_ordered({b}, 1, s, transport), crowded);
                  }});

  const double mib = static_cast<double>(elements) * 4 / (1 << 20);
  const int runs = std::clamp(static_cast<int>(400 / mib), 5, 100);
  std::vector<std::vector<double>> times(ways.size());
  std::uint32_t sequence = 0;
  for (int i = -1; i < runs; ++i) {  // ways in turn, so that other load meets all alike
    for (std::size_t w = 0; w < ways.size(); ++w) {
      std::fill(buffer.begin(), buffer.end(), 1.0f);
      transport.barrier();
      const auto begin = Clock::now();
      ways[w].run(buffer, sequence++);
      const double mine = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
      const double slowest = max_over_ranks(transport, std::vector{mine})[0];
      if (i >= 0) times[w].push_back(slowest);
      if (buffer.front() != static_cast<float>(ranks) || buffer.back() != static_cast<float>(ranks)) std::abort();
    }
  }
  if (transport.rank() != 0) return;
  for (std::size_t w = 0; w < ways.size(); ++w) {
    std::sort(times[w].begin(), times[w].end());
    const double best = times[w].front();
    fmt::print("{:>9.4g} MiB  {:<18}{:>10.3f} ms best{:>10.3f} ms median{:>8.2f} GB/s\n", mib, ways[w].name, best,
               times[w][times[w].size() / 2],
               2.0 * (ranks - 1) / ranks * static_cast<double>(elements) * 4 / best * 1e-6);
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  const auto transport = lockstep::mpi_transport();
  const double largest = argc > 1 ? std::atof(argv[1]) : 100;
  for (const double mib : {0.0625, 1.0, 4.0, 25.0, 100.0}) {
    if (mib <= largest) lockstep::measure(*transport, static_cast<std::size_t>(mib * (1 << 18)));
  }
  return 0;
}
