// The same work as engine_bench in SimGrid (S4U): one actor per rank, one communication per message. Settings: model CM02, no TCP window
// (TCP-gamma 1e12), no cross traffic, so that shares are max-min fair, and latencies and rates are those of the links.
//
// `simgrid_bench star|tree|iteration [ranks]` prints one row as engine_bench does.
//
// Mailboxes have receivers from the start, so that a message leaves at once, whether or not it is waited for.
// One difference of meaning: ours waits until its message has left, before it sends the next; SimGrid can tell only when a message has
// arrived, which makes the slow hops of a ring pay the latency in each step. So a sender here may be one message ahead: it waits for the
// message before last. While two of its messages are under way together they share its link, which carries as much per second as one
// after the other: throughput is the same, and the first few steps may differ by less than a message. On the star all hops are alike, the next
// message comes to be sent when the last has arrived, and nothing changes.
#include <sys/resource.h>
#include <simgrid/s4u.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "core/plan/collective.hpp"
#include "sim/network/fabric.hpp"
#include "tests/bench/engine_works.hpp"

namespace sg4 = simgrid::s4u;
using namespace lockstep;
using namespace lockstep::bench;

namespace {

/// Each host behind a link up and a link down.
std::vector<sg4::Host*> star(int ranks) {
  sg4::NetZone* zone = sg4::create_star_zone("star");
  std::vector<sg4::Host*> hosts;
  for (int r = 0; r < ranks; ++r) {
    const std::string name = std::to_string(r);
    hosts.push_back(zone->create_host("h" + name, 1e9)->seal());
    const auto link = [&](const std::string& way) {
      return zone->create_link(way + name, kFlatRate)->set_latency(kFlatLinkLatency)->seal();
    };
    zone->add_route(hosts.back()->get_netpoint(), nullptr, nullptr, nullptr, {sg4::LinkInRoute(link("up"))}, false);
    zone->add_route(nullptr, hosts.back()->get_netpoint(), nullptr, nullptr, {sg4::LinkInRoute(link("down"))}, false);
  }
  zone->seal();
  return hosts;
}

/// Links and ring routes of our own fabric: the same destination-mod-k choices.
std::vector<sg4::Host*> tree(int ranks) {
  const int nodes = (ranks + kTreeGpus - 1) / kTreeGpus;
  sim::Fabric fabric(tree_cluster(nodes), nodes, Routing::Static, 1);
  sg4::NetZone* zone = sg4::create_full_zone("tree");
  std::vector<sg4::Host*> hosts;
  for (int r = 0; r < ranks; ++r) hosts.push_back(zone->create_host("h" + std::to_string(r), 1e9)->seal());
  std::vector<sg4::Link*> links(fabric.links().size(), nullptr);
  for (int r = 0; r < ranks; ++r) {
    const int next = (r + 1) % ranks;
    std::vector<sg4::LinkInRoute> route;
    for (std::int32_t l : fabric.route(r, next).links) {
      sg4::Link*& link = links[static_cast<std::size_t>(l)];
      if (!link) {
        const sim::Link& ours = fabric.links()[static_cast<std::size_t>(l)];
        link = zone->create_link(std::to_string(l), ours.capacity.bytes_per_second())
                   ->set_latency(ours.latency.seconds())
                   ->seal();
      }
      route.emplace_back(link);
    }
    zone->add_route(hosts[static_cast<std::size_t>(r)]->get_netpoint(),
                    hosts[static_cast<std::size_t>(next)]->get_netpoint(), nullptr, nullptr, route, false);
  }
  zone->seal();
  return hosts;
}

class Ring {
 public:
  explicit Ring(int ranks) : ranks_(ranks) {
    for (int r = 0; r < ranks; ++r) boxes_.push_back(sg4::Mailbox::by_name("m" + std::to_string(r)));
  }
  void receive_by(int rank, const sg4::ActorPtr& actor) { boxes_[static_cast<std::size_t>(rank)]->set_receiver(actor); }
  void allreduce(int rank, std::int64_t elements) {
    static int payload = 0;
    const Schedule ring = ring_schedule(CollectiveOp::Allreduce, {0, elements}, ranks_);
    sg4::CommPtr before;
    for (std::int64_t i = 0; i < ring.steps(rank, 0); ++i) {
      const ScheduleStep step = ring.step(rank, 0, i);
      const sg4::CommPtr sent = boxes_[static_cast<std::size_t>(step.send_to)]->put_async(
          &payload, static_cast<std::uint64_t>(step.send.length * 4));
      boxes_[static_cast<std::size_t>(rank)]->get<int>();
      if (before) before->wait();
      before = sent;
      ++messages;
    }
    if (before) before->wait();  // one rank sends nothing
  }
  std::int64_t messages = 0;

 private:
  int ranks_;
  std::vector<sg4::Mailbox*> boxes_;
};

}  // namespace

int main(int argc, char** argv) {
  sg4::Engine engine(&argc, argv);
  engine.set_config("network/model:CM02");
  engine.set_config("network/TCP-gamma:1e12");
  engine.set_config("network/crosstraffic:0");
  engine.set_config("contexts/stack-size:64");
  const std::string work = argc > 1 ? argv[1] : "";
  const int ranks = argc > 2 ? std::atoi(argv[2]) : kRanks;
  if ((work != "star" && work != "tree" && work != "iteration") || ranks < 2) {
    std::fprintf(stderr, "usage: simgrid_bench star|tree|iteration [ranks]\n");
    return 2;
  }
  std::vector<std::int64_t> elements{kElements};
  std::vector<double> full{0};
  double least = 0;
  if (work == "iteration") {
    const Iteration it = resnet50_iteration();
    elements.clear();
    full.clear();
    for (const Bucket& b : it.buckets.buckets) elements.push_back(b.elements);
    for (Time t : it.full) full.push_back(t.seconds());
    least = Iteration::kForward + Iteration::kBackward;
  }

  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  const std::vector<sg4::Host*> hosts = work == "tree" ? tree(ranks) : star(ranks);
  Ring ring(ranks);
  for (int r = 0; r < ranks; ++r) {
    const auto actor = sg4::Actor::create("r" + std::to_string(r), hosts[static_cast<std::size_t>(r)], [&, r] {
      for (std::size_t b = 0; b < elements.size(); ++b) {
        sg4::this_actor::sleep_until(full[b]);
        ring.allreduce(r, elements[b]);
      }
    });
    ring.receive_by(r, actor);
  }
  engine.run();
  const double simulated = std::max(least, sg4::Engine::get_clock());
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double used = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const double millions = static_cast<double>(ring.messages) / 1e6;
  std::printf("| SimGrid %s, %d ranks | %.2f | %.2f | - | %.2f | %.2f | %.0f | %.6f |\n", work.c_str(), ranks, wall,
              used, millions, millions / wall, static_cast<double>(use.ru_maxrss) / 1024, simulated * 1e3);
  return 0;
}
