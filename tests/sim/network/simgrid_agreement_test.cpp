// The same flows over the same links in SimGrid: an implementation of max-min fairness that shares nothing with ours.
#include <gtest/gtest.h>

#ifdef LOCKSTEP_HAS_SIMGRID
#include <sys/wait.h>
#include <unistd.h>
#include <simgrid/s4u.hpp>
#endif

#include <cstdint>
#include <string>
#include <vector>

#include "sim/network/event_queue.hpp"
#include "sim/network/fabric.hpp"
#include "sim/network/network.hpp"

namespace lockstep::sim {
namespace {

struct CaseFlow {
  std::vector<std::int32_t> links;
  double bytes = 0, cap = 0;  // cap: bytes/s
  Time start;
};
struct Case {
  std::string name;
  std::vector<double> capacities;  // bytes/s
  std::vector<CaseFlow> flows;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {
    for (int i = 0; i < 8; ++i) below(2);
  }
  int below(int n) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<int>((state_ >> 33) % static_cast<std::uint64_t>(n));
  }

 private:
  std::uint64_t state_;
};

/// 0.2 to 20 MB at rates of about 10 GB/s: at least 20 us each; starts within 2 ms, so that flows come and go among others. Every
/// third flow has a cap of its own.
CaseFlow flow_over(std::vector<std::int32_t> links, Random& random) {
  CaseFlow f;
  f.links = std::move(links);
  f.bytes = 2e5 * (1 + random.below(100));
  f.cap = random.below(3) == 0 ? 1e9 * (1 + random.below(12)) : 1e12;
  f.start = Time::microseconds(random.below(2000));
  return f;
}

void between_random_gpus(Case& c, const ClusterSpec& cluster, int flows, Random& random) {
  Fabric fabric(cluster, cluster.nodes, Routing::Static, 1);
  for (const Link& link : fabric.links()) c.capacities.push_back(link.capacity.bytes_per_second());
  for (int i = 0; i < flows; ++i) {
    const int from = random.below(cluster.total_gpus());
    const int to = (from + 1 + random.below(cluster.total_gpus() - 1)) % cluster.total_gpus();
    const auto links = fabric.route(from, to).links;
    c.flows.push_back(flow_over({links.begin(), links.end()}, random));
  }
}

/// 12 nodes of 2 GPUs and one NIC, leaves of 4, two core switches: oversubscribed 2 : 1, with other rates for each case.
Case fat_tree(Random& random) {
  ClusterSpec s;
  s.nodes = 12;
  s.node.gpus = 2;
  s.node.nvlink.present = true;
  s.node.nvlink.pairs = {{0, 1, 1}};
  s.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(24));
  s.node.nic.count = 1;
  s.node.nic.nic_of_gpu = {0, 0};
  s.node.nic.rate = Sourced(Bandwidth::gigabytes_per_second(8 + random.below(8)));
  s.network.kind = NetworkKind::FatTree;
  TierSpec leaf, core;
  leaf.group = 4;
  leaf.rate = Sourced(Bandwidth::gigabytes_per_second(12.5));
  core.switches = 2;
  core.rate = Sourced(Bandwidth::gigabytes_per_second(5 + random.below(10)));
  s.network.tiers = {leaf, core};
  Case c;
  c.name = "fat tree";
  between_random_gpus(c, s, 60, random);
  return c;
}

/// Eight GPUs in the hybrid cube mesh of a DGX-1; pairs without a cable go over PCIe and its one link between the sockets.
Case nvlink_mesh(Random& random) {
  ClusterSpec s;
  s.node.gpus = 8;
  s.node.nvlink.present = true;
  s.node.nvlink.pairs = {{0, 1, 1}, {0, 2, 1}, {0, 3, 2}, {0, 4, 2}, {1, 2, 2}, {1, 3, 1}, {1, 5, 2}, {2, 3, 1},
                         {2, 6, 2}, {3, 7, 2}, {4, 5, 1}, {4, 6, 1}, {4, 7, 2}, {5, 6, 2}, {5, 7, 1}, {6, 7, 1}};
  s.node.nvlink.per_link = Sourced(Bandwidth::gigabytes_per_second(15 + random.below(10)));
  s.node.pcie.switches = {{0, 1}, {2, 3}, {4, 5}, {6, 7}};
  s.node.pcie.cpu_of_switch = {0, 0, 1, 1};
  s.node.pcie.x16 = Sourced(Bandwidth::gigabytes_per_second(8 + random.below(6)));
  s.node.pcie.host_link = Sourced(Bandwidth::gigabytes_per_second(6 + random.below(10)));
  Case c;
  c.name = "NVLink mesh";
  between_random_gpus(c, s, 50, random);
  return c;
}

/// 5 x 4 nodes, a link per direction to each of four neighbours, along x first, the shorter way round.
Case torus(Random& random) {
  constexpr int kX = 5, kY = 4;
  Case c;
  c.name = "torus";
  for (int i = 0; i < kX * kY * 4; ++i) c.capacities.push_back(1e9 * (6 + random.below(8)));
  for (int i = 0; i < 60; ++i) {
    int x = random.below(kX), y = random.below(kY);
    const int tx = random.below(kX), ty = random.below(kY);
    std::vector<std::int32_t> links;
    const auto walk = [&](int& at, int to, int n, int direction) {
      const bool up = (to - at + n) % n <= n / 2;
      while (at != to) {
        links.push_back((y * kX + x) * 4 + direction + (up ? 0 : 1));
        at = (at + (up ? 1 : n - 1)) % n;
      }
    };
    walk(x, tx, kX, 0);
    walk(y, ty, kY, 2);
    if (!links.empty()) c.flows.push_back(flow_over(std::move(links), random));
  }
  return c;
}

/// Half of the flows as messages: those that are alone must end as the others do.
std::vector<double> our_ends(const Case& c) {
  constexpr std::uint32_t kFlow = 0, kStart = 1;
  std::vector<Link> links;
  for (double capacity : c.capacities) links.push_back({"", Bandwidth::bytes_per_second(capacity), Time::zero()});
  EventQueue queue;
  Network network(queue, links, kFlow);
  for (std::size_t f = 0; f < c.flows.size(); ++f)
    queue.push(c.flows[f].start, kStart, static_cast<std::uint32_t>(f), 0);
  std::vector<double> ends(c.flows.size(), -1);
  std::vector<std::size_t> of_message(c.flows.size());
  while (!queue.empty()) {
    const Event event = queue.pop();
    std::uint64_t token = 0;
    if (event.kind == kStart) {
      const CaseFlow& f = c.flows[event.a];
      const Bandwidth cap = Bandwidth::bytes_per_second(f.cap);
      if (event.a % 2 == 0) {
        network.start(f.links, f.bytes, cap, std::uint64_t{event.a + 1} << 33);
      } else {
        of_message[static_cast<std::size_t>(network.send(f.links, f.bytes, cap, Time::zero()))] = event.a;
      }
    } else if (network.finish(event, token)) {
      if (token & Network::kArrived) {
        ends[of_message[token & 0xffffffffU]] = event.time.seconds();
      } else if (token >> 33 > 0) {  // else: a message has left
        ends[(token >> 33) - 1] = event.time.seconds();
      }
    }
  }
  return ends;
}

#ifdef LOCKSTEP_HAS_SIMGRID
/// Model CM02 without TCP window and cross traffic, links without latency (CM02 favours short round trips; without any, shares are
/// equal): max-min fairness alone. In a child: an engine is one per process.
std::vector<double> simgrid_ends(const Case& c) {
  namespace sg4 = simgrid::s4u;
  std::vector<double> ends(c.flows.size(), -1);
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return ends;
  const pid_t child = fork();
  if (child == 0) {
    int argc = 2;
    char name[] = "flows", quiet[] = "--log=root.thres:critical";
    char* argv[] = {name, quiet, nullptr};
    sg4::Engine engine(&argc, argv);
    for (const char* setting : {"network/model:CM02", "network/TCP-gamma:1e12", "network/crosstraffic:0"})
      engine.set_config(setting);
    sg4::NetZone* zone = sg4::create_full_zone("all");
    std::vector<sg4::Link*> links;
    for (std::size_t l = 0; l < c.capacities.size(); ++l)
      links.push_back(zone->create_link("l" + std::to_string(l), c.capacities[l])->set_latency(0)->seal());
    std::vector<std::pair<sg4::Host*, sg4::Host*>> pairs;
    for (std::size_t f = 0; f < c.flows.size(); ++f) {
      sg4::Host* from = zone->create_host("from" + std::to_string(f), 1e9)->seal();
      sg4::Host* to = zone->create_host("to" + std::to_string(f), 1e9)->seal();
      // A cap is a link of the flow's own: Comm::set_rate() has no effect between hosts.
      std::vector<sg4::LinkInRoute> route{
          sg4::LinkInRoute(zone->create_link("cap" + std::to_string(f), c.flows[f].cap)->set_latency(0)->seal())};
      for (std::int32_t l : c.flows[f].links) route.emplace_back(links[static_cast<std::size_t>(l)]);
      zone->add_route(from->get_netpoint(), to->get_netpoint(), nullptr, nullptr, route, false);
      pairs.emplace_back(from, to);
    }
    zone->seal();
    for (std::size_t f = 0; f < c.flows.size(); ++f) {
      sg4::Actor::create("f" + std::to_string(f), pairs[f].first, [&, f] {
        sg4::this_actor::sleep_until(c.flows[f].start.seconds());
        sg4::Comm::sendto(pairs[f].first, pairs[f].second, static_cast<std::uint64_t>(c.flows[f].bytes));
        ends[f] = sg4::Engine::get_clock();
      });
    }
    engine.run();
    const auto size = static_cast<ssize_t>(ends.size() * sizeof(double));
    _exit(write(pipe_ends[1], ends.data(), static_cast<std::size_t>(size)) == size ? 0 : 1);
  }
  close(pipe_ends[1]);
  const ssize_t got = read(pipe_ends[0], ends.data(), ends.size() * sizeof(double));
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(got, static_cast<ssize_t>(ends.size() * sizeof(double)));
  return ends;
}
#endif

TEST(SimgridAgreement, TwentyCasesOfContentionWithinATenthOfAPercent) {
#ifdef LOCKSTEP_HAS_SIMGRID
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed + 1);
    const Case c = seed % 3 == 0 ? fat_tree(random) : seed % 3 == 1 ? torus(random) : nvlink_mesh(random);
    const std::vector<double> ours = our_ends(c), theirs = simgrid_ends(c);
    int held_back = 0;
    for (std::size_t f = 0; f < c.flows.size(); ++f) {
      const double start = c.flows[f].start.seconds(), length = theirs[f] - start;
      EXPECT_NEAR(ours[f] - start, length, 1e-3 * length) << c.name << ", seed " << seed << ", flow " << f;
      double alone = c.flows[f].cap;
      for (std::int32_t l : c.flows[f].links) alone = std::min(alone, c.capacities[static_cast<std::size_t>(l)]);
      held_back += length > 1.2 * c.flows[f].bytes / alone;
    }
    EXPECT_GT(held_back, 5) << c.name << ", seed " << seed << ": too little contention to tell anything";
  }
#else
  (void)our_ends;
  (void)fat_tree;
  (void)torus;
  (void)nvlink_mesh;
  GTEST_SKIP() << "built without SimGrid (Debian: libsimgrid-dev)";
#endif
}

}  // namespace
}  // namespace lockstep::sim
