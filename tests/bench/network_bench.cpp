// How many events and flows per second the network simulates.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "sim/network/event_queue.hpp"
#include "sim/network/fabric.hpp"
#include "sim/network/network.hpp"

namespace lockstep::sim {
namespace {

/// Pops one event and pushes another, with `range` events waiting.
void events(benchmark::State& state) {
  EventQueue queue;
  std::uint64_t random = 1;
  const auto next = [&random] {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return Time::picoseconds(static_cast<std::int64_t>(random >> 44));
  };
  for (int i = 0; i < state.range(0); ++i) queue.push(next(), 0, 0, 0);
  for (auto _ : state) {
    const Event event = queue.pop();
    queue.push(event.time + next(), 0, 0, 0);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(events)->Arg(64)->Arg(2048)->Arg(65536);

constexpr int kNodes = 512;

/// Per node: 4 GPU links up and down, 2 NIC links up and down; a flow goes GPU up, NIC up, NIC down, GPU down to the
/// next node.
struct Ring {
  Ring() {
    std::vector<Link> links;
    for (int n = 0; n < kNodes; ++n) {
      for (int i = 0; i < 8; ++i) links.push_back({"gpu", Bandwidth::gigabytes_per_second(16), Time::zero()});
      for (int i = 0; i < 4; ++i) links.push_back({"nic", Bandwidth::gigabytes_per_second(12.5), Time::zero()});
    }
    for (int n = 0; n < kNodes; ++n) {
      const int to = (n + 1) % kNodes;
      for (int g = 0; g < 4; ++g) {
        routes.push_back({n * 12 + g * 2, n * 12 + 8 + g / 2 * 2, to * 12 + 8 + g / 2 * 2 + 1, to * 12 + g * 2 + 1});
      }
    }
    network = std::make_unique<Network>(queue, links, 0);
  }
  EventQueue queue;
  std::unique_ptr<Network> network;
  std::vector<std::vector<std::int32_t>> routes;
};

/// 512 nodes of 4 GPUs below leaves, three middle switches per rack and two at the top with a taper of one third; every
/// GPU sends to one random partner after the other, so that the links of NICs and cables couple nearly all flows: the
/// worst that a change can touch.
ClusterSpec tapered() {
  ClusterSpec c;
  c.name = "tapered";
  c.nodes = kNodes;
  c.node.gpus = 4;
  c.node.nvlink.present = c.node.nvlink.through_switch = true;
  c.node.nvlink.links_per_gpu = 6;
  c.node.nvlink.per_link = Sourced<Bandwidth>(Bandwidth::gigabytes_per_second(24));
  c.node.nic.count = 2;
  c.node.nic.rate = Sourced<Bandwidth>(Bandwidth::gigabytes_per_second(12.5));
  c.network.kind = NetworkKind::FatTree;
  c.network.nodes_per_rack = 34;
  TierSpec tier;
  tier.rate = c.node.nic.rate;
  tier.name = "leaf", tier.group = 17;
  c.network.tiers.push_back(tier);
  tier.name = "middle", tier.group = 4, tier.switches = 3, tier.cables = 6;
  c.network.tiers.push_back(tier);
  tier.name = "top", tier.group = 0, tier.switches = 2, tier.cables = 4;
  c.network.tiers.push_back(tier);
  return c;
}

void random_partners(benchmark::State& state) {
  const ClusterSpec cluster = tapered();
  Fabric fabric(cluster, kNodes, Routing::Static, 1);
  EventQueue queue;
  Network network(queue, fabric.links(), 0);
  std::uint64_t random = 1;
  const auto below = [&random](std::uint64_t n) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random >> 33) % n;
  };
  constexpr std::uint64_t kGpus = kNodes * 4, kPartners = 8;
  std::vector<int> partners;
  for (std::uint64_t i = 0; i < kGpus * kPartners; ++i)
    partners.push_back(static_cast<int>((i / kPartners + 1 + below(kGpus - 1)) % kGpus));
  const auto start = [&](std::uint64_t gpu) {
    const int to = partners[gpu * kPartners + below(kPartners)];
    network.start(fabric.route(static_cast<int>(gpu), to).links, 1e6 + static_cast<double>(below(100'000)),
                  Bandwidth::unlimited(), gpu);
  };
  for (std::uint64_t gpu = 0; gpu < kGpus; ++gpu) start(gpu);
  for (auto _ : state) {
    std::uint64_t token = 0;
    while (!network.finish(queue.pop(), token)) {
    }
    start(token);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["solved/flow"] = static_cast<double>(network.solved_flows()) / static_cast<double>(state.iterations());
  state.counters["changes/flow"] =
      static_cast<double>(network.rate_changes()) / static_cast<double>(state.iterations());
}
BENCHMARK(random_partners);

/// Starts a flow on every `stride`-th route and another on the same route whenever one ends; sizes differ by `spread`
/// bytes at most.
void flows(benchmark::State& state, int stride, std::uint64_t spread, Bandwidth cap) {
  Ring ring;
  std::uint64_t random = 1;
  const auto bytes = [&] {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return 1e6 + static_cast<double>(spread ? (random >> 32) % spread : 0);
  };
  for (std::size_t r = 0; r < ring.routes.size(); r += static_cast<std::size_t>(stride)) {
    ring.network->start(ring.routes[r], bytes(), cap, r);
  }
  for (auto _ : state) {
    std::uint64_t token = 0;
    while (!ring.network->finish(ring.queue.pop(), token)) {
    }
    ring.network->start(ring.routes[token], bytes(), cap, token);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["solves/flow"] = static_cast<double>(ring.network->solves()) / static_cast<double>(state.iterations());
  state.counters["events/flow"] = static_cast<double>(ring.queue.popped()) / static_cast<double>(state.iterations());
}
BENCHMARK_CAPTURE(flows, uncontended, 2, 100'000, Bandwidth::unlimited());
BENCHMARK_CAPTURE(flows, four_share_two_nics_in_step, 1, 0, Bandwidth::unlimited());
BENCHMARK_CAPTURE(flows, four_share_two_nics_out_of_step, 1, 100'000, Bandwidth::unlimited());
BENCHMARK_CAPTURE(flows, four_capped_below_two_nics, 1, 100'000, Bandwidth::gigabytes_per_second(6));

}  // namespace
}  // namespace lockstep::sim
