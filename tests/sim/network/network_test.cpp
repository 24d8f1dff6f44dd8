#include "sim/network/network.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

constexpr std::uint32_t kFlow = 7, kStart = 8;

struct Arrival {
  std::int64_t ps;
  std::vector<std::int32_t> links;
  double bytes;
  Bandwidth cap = Bandwidth::unlimited();
};

/// A network with links of the given rates in GB/s, that is kB per microsecond, and what happens on it.
struct Scene {
  explicit Scene(const std::vector<double>& gigabytes_per_second) {
    std::vector<Link> links;
    for (double g : gigabytes_per_second) {
      links.push_back({"link" + std::to_string(links.size()), Bandwidth::gigabytes_per_second(g), Time::zero()});
    }
    network = std::make_unique<Network>(queue, links, kFlow);
  }

  /// Ends of the flows in picoseconds, in the order given.
  std::vector<std::int64_t> run(const std::vector<Arrival>& arrivals) {
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      queue.push(Time::picoseconds(arrivals[i].ps), kStart, static_cast<std::uint32_t>(i), 0);
    }
    std::vector<std::int64_t> ends(arrivals.size(), -1);
    while (!queue.empty()) {
      const Event event = queue.pop();
      std::uint64_t token = 0;
      if (event.kind == kStart) {
        const Arrival& a = arrivals[event.a];
        network->start(a.links, a.bytes, a.cap, event.a);
      } else if (network->finish(event, token)) {
        ends[token] = event.time.picoseconds();
      }
    }
    return ends;
  }

  EventQueue queue;
  std::unique_ptr<Network> network;
};

using Ends = std::vector<std::int64_t>;

// 10,000 B at 10 GB/s: 1 us. 1 B at 3 GB/s: 333.33 ps, nearest is 333; 2 B: 666.67 ps, nearest is 667.
TEST(Network, AloneAFlowTakesItsBytesOverTheSlowestLinkToTheNearestPicosecond) {
  EXPECT_EQ(Scene({10}).run({{0, {0}, 10'000}}), (Ends{1'000'000}));
  EXPECT_EQ(Scene({3}).run({{0, {0}, 1}, {1'000, {0}, 2}}), (Ends{333, 1'667}));
  EXPECT_EQ(Scene({10, 2, 5}).run({{0, {0, 1, 2}, 10'000}}), (Ends{5'000'000}));
  EXPECT_EQ(Scene({10}).run({{0, {0}, 10'000, Bandwidth::gigabytes_per_second(4)}}), (Ends{2'500'000}));
}

TEST(Network, MatchesTheUnitsOwnDivision) {
  for (std::int64_t size : {1, 999, 25'557'032 * 2, 102'228'128}) {
    const Bandwidth rate = Bandwidth::bytes_per_second(12.5e9);
    EXPECT_EQ(Scene({12.5}).run({{0, {0}, static_cast<double>(size)}})[0], (Bytes(size) / rate).picoseconds());
  }
}

// Two flows of 10 kB on 10 GB/s: 5 GB/s each, both end at 2 us.
TEST(Network, TwoEqualFlowsShare) {
  EXPECT_EQ(Scene({10}).run({{0, {0}, 10'000}, {0, {0}, 10'000}}), (Ends{2'000'000, 2'000'000}));
}

// Flow 0 alone for 0.5 us: 5 kB done, 5 left. Then 5 GB/s each: flow 0 ends at 0.5 + 1 = 1.5 us. Flow 1 has then 5 of
// 10 kB left and the link alone: 1.5 + 0.5 = 2 us. (In all 20 kB on 10 GB/s from 0 on: 2 us.)
TEST(Network, LateComerHalvesTheRateAndInheritsTheLink) {
  EXPECT_EQ(Scene({10}).run({{0, {0}, 10'000}, {500'000, {0}, 10'000}}), (Ends{1'500'000, 2'000'000}));
}

// Cap 2 GB/s on flow 0: the other has 8. Flow 1: 8 kB / 8 = 1 us; flow 0 stays capped: 4 kB / 2 = 2 us.
TEST(Network, CappedFlowLeavesTheRest) {
  EXPECT_EQ(Scene({10}).run({{0, {0}, 4'000, Bandwidth::gigabytes_per_second(2)}, {0, {0}, 8'000}}),
            (Ends{2'000'000, 1'000'000}));
}

// Parking lot of max_min_test in GB/s (links 1, 2, 3): rates .5, .5, 1.5, 2.5 at first. Sizes 1 kB: f3 ends at 1/2.5 =
// 0.4 us, f2 at 1/1.5 = 0.666667 us (neither frees what f0 could use), f0 and f1 at 1/0.5 = 2 us.
TEST(Network, ParkingLot) {
  EXPECT_EQ(Scene({1, 2, 3}).run({{0, {0, 1, 2}, 1'000}, {0, {0}, 1'000}, {0, {1}, 1'000}, {0, {2}, 1'000}}),
            (Ends{2'000'000, 2'000'000, 666'667, 400'000}));
}

TEST(Network, EmptyFlowEndsAtOnceAndTakesNoShare) {
  Scene scene({10});
  EXPECT_EQ(scene.run({{0, {0}, 10'000}, {400'000, {0}, 0}, {500'000, {}, 0}}), (Ends{1'000'000, 400'000, 500'000}));
  EXPECT_EQ(scene.network->use(0).flows, 2);
  EXPECT_EQ(scene.network->solves(), 0U);
}

TEST(Network, FlowWithoutLinks) {
  EXPECT_EQ(Scene({}).run({{5, {}, 1'000}, {5, {}, 1'000, Bandwidth::gigabytes_per_second(1)}}), (Ends{5, 1'000'005}));
}

TEST(Network, LinkWithoutCapacityHoldsItsFlows) {
  Scene scene({0, 10});
  EXPECT_EQ(scene.run({{0, {0, 1}, 1'000}, {0, {1}, 10'000}, {0, {0}, 1}}), (Ends{-1, 1'000'000, -1}));
  EXPECT_EQ(scene.network->active(), 2U);
}

TEST(Network, UnlimitedLinksShareNothing) {
  std::vector<Link> links{{"bus", Bandwidth::unlimited(), Time::zero()},
                          {"wire", Bandwidth::gigabytes_per_second(10), Time::zero()}};
  EventQueue queue;
  Network network(queue, links, kFlow);
  const std::vector<std::int32_t> both{0, 1}, bus{0};
  network.start(both, 10'000, Bandwidth::unlimited(), 1);
  network.start(bus, 10'000, Bandwidth::gigabytes_per_second(1), 2);
  network.start(bus, 10'000, Bandwidth::unlimited(), 3);
  std::map<std::uint64_t, std::int64_t> ends;
  while (!queue.empty()) {
    const Event event = queue.pop();
    std::uint64_t token = 0;
    if (network.finish(event, token)) ends[token] = event.time.picoseconds();
  }
  EXPECT_EQ(ends, (std::map<std::uint64_t, std::int64_t>{{1, 1'000'000}, {2, 10'000'000}, {3, 0}}));
}

// 100 flows that start together on one link are one problem; as they end together, nothing is left to solve.
TEST(Network, StartsOfOneInstantAreSolvedOnce) {
  Scene scene({10});
  const auto ends = scene.run(std::vector<Arrival>(100, Arrival{0, {0}, 1'000}));
  EXPECT_EQ(ends, Ends(100, 10'000'000));
  EXPECT_EQ(scene.network->solves(), 1U);
  EXPECT_EQ(scene.network->rate_changes(), 101U);  // the first flow was alone when it started
}

// Static caps 4 + 6 = 10: the link cannot bind, so nothing is solved.
TEST(Network, SlackLinksAreNeverSolved) {
  Scene scene({10, 6});
  EXPECT_EQ(scene.run({{0, {0}, 4'000, Bandwidth::gigabytes_per_second(4)}, {0, {0, 1}, 6'000}}),
            (Ends{1'000'000, 1'000'000}));
  EXPECT_EQ(scene.network->solves(), 0U);
}

// Two pairs on two links, one wide link (100) common to all: a change in one pair leaves the other pair's events alone.
TEST(Network, ChangeStaysWithinItsComponent) {
  Scene scene({10, 10, 100});
  scene.run({{0, {0, 2}, 10'000}, {0, {0, 2}, 10'000}, {0, {1, 2}, 10'000}, {0, {1, 2}, 20'000}});
  // Starts: 2 alone + 4 solved. Ends: flows 0, 1 together (nothing); flow 2 at 2 us, then flow 3 alone: 1 change.
  EXPECT_EQ(scene.network->rate_changes(), 7U);
  EXPECT_EQ(scene.network->solves(), 2U);
}

// A chain: flow i crosses links i and i + 1; link 0 has 10 GB/s, link i has 18 + 4 i. Flow 0 is held by link 0: 10.
// Flow i takes what flow i - 1 leaves on link i: 18 + 4 i - (10 + 2 (i - 1)) = 10 + 2 i, more than flow i - 1 has. A
// flow of 0.5 GB/s on link 0 takes 0.5 from flow 0, which gives 0.5 to flow 1, which takes 0.5 from flow 2, and so on
// to the end, however long the chain.
TEST(Network, ChangeRunsDownAChain) {
  for (const int length : {1, 2, 5, 11, 12, 13, 14, 40, 100}) {
    std::vector<double> capacities{10};
    for (int i = 1; i <= length; ++i) capacities.push_back(18 + 4 * i);
    Scene scene(capacities);
    std::vector<std::vector<std::int32_t>> routes;
    for (int i = 0; i < length; ++i) routes.push_back({i, i + 1});
    for (int i = 0; i < length; ++i) {
      scene.network->start(routes[static_cast<std::size_t>(i)], 1e6, Bandwidth::unlimited(),
                           static_cast<std::uint64_t>(i));
    }
    const std::vector<std::int32_t> first{0};
    for (const double taken : {0.0, 0.5}) {
      if (taken > 0) scene.network->start(first, 1e6, Bandwidth::gigabytes_per_second(taken), 1'000);
      scene.network->settle();
      for (int i = 0; i < length; ++i) {
        // The last link carries the last flow alone.
        const double expected = 10 + 2 * i + (i % 2 == 0 ? -taken : taken);
        EXPECT_NEAR(scene.network->rate_of(static_cast<std::uint64_t>(i)) * 1e-9, expected, 1e-9 * expected)
            << i << " of " << length;
      }
    }
  }
}

// A chain whose right half (links 3, 4, 5) is the narrower: its flows leave link 2 slack and do not care what happens
// on the left. Solved: flow 0 and the new one (2 flows), then flow 1 as well (3), no more.
TEST(Network, ChangeStopsWhereNobodyLosesItsBottleneck) {
  Scene scene({10, 22, 26, 4, 4, 4});
  const std::vector<std::vector<std::int32_t>> routes{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}};
  for (std::size_t i = 0; i < routes.size(); ++i) scene.network->start(routes[i], 1e6, Bandwidth::unlimited(), i);
  scene.network->settle();
  // Flow 0: 10, flow 1: 22 - 10 = 12; flows 2 and 3 share link 3: 2 each, and flow 4 gets 4 - 2 = 2.
  for (const auto& [flow, rate] : std::map<std::uint64_t, double>{{0, 10e9}, {1, 12e9}, {2, 2e9}, {3, 2e9}, {4, 2e9}}) {
    EXPECT_DOUBLE_EQ(scene.network->rate_of(flow), rate);
  }
  const std::uint64_t solved = scene.network->solved_flows();
  const std::vector<std::int32_t> first{0};
  scene.network->start(first, 1e6, Bandwidth::gigabytes_per_second(0.5), 9);
  scene.network->settle();
  EXPECT_DOUBLE_EQ(scene.network->rate_of(0), 9.5e9);
  EXPECT_DOUBLE_EQ(scene.network->rate_of(1), 12.5e9);
  EXPECT_EQ(scene.network->solved_flows() - solved, 2U + 3U);
}

TEST(Network, RateOfSeesTheSettledRates) {
  Scene scene({10});
  const std::vector<std::int32_t> link{0};
  scene.network->start(link, 1'000, Bandwidth::unlimited(), 1);
  scene.network->start(link, 1'000, Bandwidth::unlimited(), 2);
  scene.network->settle();
  EXPECT_EQ(scene.network->rate_of(1), 5e9);
  EXPECT_EQ(scene.network->rate_of(2), 5e9);
  EXPECT_THROW(scene.network->rate_of(3), InternalError);
}

TEST(Network, CapacityChangesOnlyWhileIdle) {
  Scene scene({10});
  const std::vector<std::int32_t> link{0};
  scene.network->set_capacity(0, Bandwidth::gigabytes_per_second(5));
  EXPECT_EQ(scene.run({{0, {0}, 10'000}}), (Ends{2'000'000}));
  scene.network->start(link, 1, Bandwidth::unlimited(), 1);
  EXPECT_THROW(scene.network->set_capacity(0, Bandwidth::gigabytes_per_second(1)), InternalError);
}

TEST(Network, TransferBeyondTheEndOfTimeIsTheUsersError) {
  EXPECT_THROW(Scene({1e-9}).run({{0, {0}, 1e8}}), ConfigError);
}

TEST(Network, QueueCanBeRestartedWhenAllFlowsEndedTogether) {
  Scene scene({10});
  const std::vector<std::int32_t> link{0};
  std::uint64_t token = 0;
  for (int round = 0; round < 2; ++round) {
    scene.network->start(link, 10'000, Bandwidth::unlimited(), 1);
    scene.network->start(link, 10'000, Bandwidth::unlimited(), 2);
    while (scene.network->active() > 0) scene.network->finish(scene.queue.pop(), token);
    EXPECT_EQ(scene.queue.now().picoseconds(), 2'000'000);
    scene.queue.restart(Time::zero());
  }
}

// The same run gives the same digest; the same starts in another order give the same ends, but another stream of
// events.
TEST(Network, DigestRepeatsAndOrderOfStartsShowsInItOnly) {
  const std::vector<Arrival> forth{{0, {0}, 3'000}, {0, {0, 1}, 5'000}, {0, {1}, 7'000}};
  const std::vector<Arrival> back{forth[2], forth[1], forth[0]};
  Scene one({10, 7}), two({10, 7}), three({10, 7});
  const Ends first = one.run(forth), second = two.run(forth), third = three.run(back);
  EXPECT_EQ(one.queue.digest(), two.queue.digest());
  EXPECT_EQ(first, second);
  EXPECT_EQ(third, (Ends{first[2], first[1], first[0]}));
  EXPECT_NE(one.queue.digest(), three.queue.digest());
}

/// Times at which a scene's messages are said to have left (-1: nothing was said) and have arrived.
struct Told {
  Ends left, arrived;
};

Told messages(Scene& scene, const std::vector<Arrival>& arrivals, Time latency) {
  for (std::size_t i = 0; i < arrivals.size(); ++i)
    scene.queue.push(Time::picoseconds(arrivals[i].ps), kStart, static_cast<std::uint32_t>(i), 0);
  Told told{Ends(arrivals.size(), -1), Ends(arrivals.size(), -1)};
  std::vector<std::size_t> of_number(arrivals.size());
  while (!scene.queue.empty()) {
    const Event event = scene.queue.pop();
    std::uint64_t token = 0;
    if (event.kind == kStart) {
      const Arrival& a = arrivals[event.a];
      of_number[static_cast<std::size_t>(scene.network->send(a.links, a.bytes, a.cap, latency))] = event.a;
    } else if (scene.network->finish(event, token)) {
      auto& list = token & Network::kArrived ? told.arrived : told.left;
      list[of_number[token & 0xffffffffU]] = event.time.picoseconds();
    }
  }
  return told;
}

// 10,000 B at 10 GB/s leave in 1 us and arrive 0.5 us later: one event.
TEST(Network, AMessageThatMeetsNobodyIsOneEvent) {
  Scene scene({10, 20});
  const Told told = messages(scene, {{0, {0, 1}, 10'000}}, Time::nanoseconds(500));
  EXPECT_EQ(told.arrived, (Ends{1'500'000}));
  EXPECT_EQ(told.left, (Ends{-1}));
  EXPECT_EQ(scene.queue.popped(), 2U);  // the start and the arrival
  EXPECT_EQ(scene.network->use(1).flows, 1);
  EXPECT_EQ(scene.network->active(), 0U);
}

// The second comes when the first has left its link, though it has not arrived: they do not meet.
TEST(Network, LatencyHoldsNoLink) {
  Scene scene({10});
  const Told told = messages(scene, {{0, {0}, 10'000}, {1'000'000, {0}, 10'000}}, Time::microseconds(5));
  EXPECT_EQ(told.arrived, (Ends{6'000'000, 7'000'000}));
  EXPECT_EQ(told.left, (Ends{-1, -1}));
}

// First alone for 0.5 us (5,000 B), then two at 5 GB/s: the first leaves after 1.5 us; the second has moved 5,000 B by then, and 5,000 B more at
// 10 GB/s end at 2 us. Both are told, since both shared.
TEST(Network, AMessageThatIsJoinedBecomesAFlow) {
  Scene scene({10, 20});
  const Told told = messages(scene, {{0, {0, 1}, 10'000}, {500'000, {0}, 10'000}}, Time::microseconds(1));
  EXPECT_EQ(told.left, (Ends{1'500'000, 2'000'000}));
  EXPECT_EQ(told.arrived, (Ends{2'500'000, 3'000'000}));
}

TEST(Network, EmptyMessagesOnlyTakeTheirLatency) {
  Scene scene({10});
  const Told told = messages(scene, {{0, {0}, 10'000}, {5, {0}, 0}, {7, {}, 0}}, Time::nanoseconds(1));
  EXPECT_EQ(told.arrived, (Ends{1'001'000, 1'005, 1'007}));
}

TEST(Network, AwaitLeftTellsOnceAlsoIfTheMessageIsJoinedLater) {
  const std::vector<std::int32_t> link{0};
  for (const bool joined : {false, true}) {
    Scene scene({10});
    const std::int32_t first = scene.network->send(link, 10'000, Bandwidth::unlimited(), Time::microseconds(1));
    EXPECT_FALSE(scene.network->await_left(first));
    if (joined) scene.network->send(link, 10'000, Bandwidth::unlimited(), Time::microseconds(1));
    int left = 0;
    std::uint64_t token = 0;
    while (!scene.queue.empty()) {
      const Event event = scene.queue.pop();
      if (!scene.network->finish(event, token) || token != static_cast<std::uint64_t>(first)) continue;
      ++left;
      EXPECT_TRUE(scene.network->await_left(first));
      EXPECT_EQ(event.time, Time::microseconds(joined ? 2 : 1));
    }
    EXPECT_EQ(left, 1);
  }
}

// 400 messages over a few of 12 links, as messages and as flows that nobody takes for alone. When rates change, ends are rounded at other
// moments: each of the others may shift one by a picosecond.
TEST(Network, MessagesEndAsFlowsDo) {
  std::uint64_t random = 7;
  const auto below = [&random](std::uint64_t n) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::int64_t>((random >> 33) % n);
  };
  for (const std::uint64_t spread : {20'000'000U, 200'000'000U, 2'000'000'000U}) {  // crowded, half, nearly alone
    std::vector<Arrival> arrivals;
    for (int i = 0; i < 400; ++i) {
      Arrival a{below(spread), {}, static_cast<double>(below(20'000))};
      for (std::int32_t l = 0; l < 12; ++l) {
        if (below(4) == 0) a.links.push_back(l);
      }
      if (below(3) == 0) a.cap = Bandwidth::gigabytes_per_second(static_cast<double>(1 + below(8)));
      arrivals.push_back(a);
    }
    const std::vector<double> rates{10, 12, 7, 3, 10, 10, 20, 9, 5, 10, 11, 4};
    Scene flows(rates), sent(rates);
    const Ends ends = flows.run(arrivals), arrived = messages(sent, arrivals, Time::microseconds(3)).arrived;
    for (std::size_t i = 0; i < ends.size(); ++i) EXPECT_LE(std::abs(arrived[i] - 3'000'000 - ends[i]), 400) << i;
    for (std::size_t l = 0; l < rates.size(); ++l) EXPECT_EQ(flows.network->use(l).flows, sent.network->use(l).flows);
  }
}

}  // namespace
}  // namespace lockstep::sim
