// Random networks with random arrivals against an oracle that recomputes everything at every event.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "sim/network/network.hpp"

namespace lockstep::sim {
namespace {

constexpr std::uint32_t kFlow = 0, kStart = 1, kProbe = 2;

struct RandomFlow {
  std::int64_t start_ps = 0;
  std::vector<std::int32_t> links;
  double bytes = 0;
  double cap = std::numeric_limits<double>::infinity();
};

struct Case {
  std::vector<double> capacities;
  std::vector<RandomFlow> flows;
};

/// Few distinct capacities and starts, so that ties and simultaneous changes are common.
Case random_case() {
  using rc::gen::inRange;
  Case c;
  const int links = *inRange(1, 9);
  const bool close = *inRange(0, 2) == 0;  // nearly equal links: the order of bottlenecks must be exact
  for (int l = 0; l < links; ++l) c.capacities.push_back(close ? 2e9 + 1e7 * *inRange(0, 8) : 1e9 * *inRange(1, 6));
  // Small regions and large ones (Network::solve_region).
  const int flows = *inRange(0, 16) == 0 ? *inRange(65, 80) : *inRange(1, 40);
  for (int f = 0; f < flows; ++f) {
    RandomFlow flow;
    flow.start_ps = 250'000LL * *inRange(0, 12) + (*inRange(0, 3) == 0 ? *inRange(0, 100'000) : 0);
    std::set<std::int32_t> crossed;
    for (int k = *inRange(0, 5); k > 0; --k) crossed.insert(*inRange(0, links));
    flow.links.assign(crossed.begin(), crossed.end());
    if (*inRange(0, 2) == 0)
      std::reverse(flow.links.begin(), flow.links.end());  // the same cables met in another order
    flow.bytes = *inRange(0, 4) == 0 ? *inRange(0, 3) : *inRange(1, 5'000);
    // Irrational sizes: with others ends can fall on half a picosecond, where two ways to sum the same numbers round
    // apart.
    if (flow.bytes > 0) flow.bytes += 1e-3 * std::sqrt(1.0 + std::pow(*inRange(1, 500), 2));
    if (flow.links.empty() || *inRange(0, 3) == 0) flow.cap = 2.5e8 * *inRange(1, 12);
    c.flows.push_back(flow);
  }
  return c;
}

double slowest(const Case& c, std::size_t f) {
  double rate = c.flows[f].cap;
  for (auto l : c.flows[f].links) rate = std::min(rate, c.capacities[static_cast<std::size_t>(l)]);
  return rate;
}

/// Progressive filling as in the textbook: all rates rise together; a flow stops when its cap or one of its links is
/// full.
std::map<int, double> filled(const Case& c, const std::set<int>& active) {
  std::map<int, double> rate;
  std::set<int> rising = active;
  std::vector<double> left = c.capacities;
  double level = 0;
  while (!rising.empty()) {
    double rise = std::numeric_limits<double>::infinity();
    std::vector<int> count(left.size(), 0);
    for (int f : rising) {
      for (auto l : c.flows[static_cast<std::size_t>(f)].links) ++count[static_cast<std::size_t>(l)];
    }
    for (std::size_t l = 0; l < left.size(); ++l) {
      if (count[l] > 0) rise = std::min(rise, left[l] / count[l]);
    }
    for (int f : rising) rise = std::min(rise, c.flows[static_cast<std::size_t>(f)].cap - level);
    level += rise;
    for (std::size_t l = 0; l < left.size(); ++l) left[l] -= rise * count[l];
    for (auto it = rising.begin(); it != rising.end();) {
      const RandomFlow& flow = c.flows[static_cast<std::size_t>(*it)];
      bool stop = flow.cap - level <= 1e-9 * level;
      for (auto l : flow.links)
        stop |= left[static_cast<std::size_t>(l)] <= 1e-9 * c.capacities[static_cast<std::size_t>(l)];
      if (stop) rate[*it] = level;
      it = stop ? rising.erase(it) : std::next(it);
    }
  }
  return rate;
}

/// Ends of all flows in picoseconds, by recomputing all rates and all ends at every event.
std::vector<std::int64_t> oracle_ends(const Case& c) {
  std::vector<std::int64_t> ends(c.flows.size(), -1);
  std::vector<double> remaining;
  for (const RandomFlow& flow : c.flows) remaining.push_back(flow.bytes);
  std::set<int> active, waiting;
  for (int f = 0; f < static_cast<int>(c.flows.size()); ++f) waiting.insert(f);
  std::map<int, double> rate;
  std::map<int, std::int64_t> end;
  std::int64_t now = 0;
  while (!active.empty() || !waiting.empty()) {
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (int f : waiting) next = std::min(next, c.flows[static_cast<std::size_t>(f)].start_ps);
    for (int f : active) next = std::min(next, end[f]);
    for (int f : active) remaining[static_cast<std::size_t>(f)] -= rate[f] * static_cast<double>(next - now) * 1e-12;
    for (auto it = active.begin(); it != active.end();) {
      const bool over = end[*it] == next;
      if (over) ends[static_cast<std::size_t>(*it)] = next;
      it = over ? active.erase(it) : std::next(it);
    }
    for (auto it = waiting.begin(); it != waiting.end();) {
      const bool begins = c.flows[static_cast<std::size_t>(*it)].start_ps == next;
      if (begins) {
        if (c.flows[static_cast<std::size_t>(*it)].bytes > 0)
          active.insert(*it);
        else
          ends[static_cast<std::size_t>(*it)] = next;
      }
      it = begins ? waiting.erase(it) : std::next(it);
    }
    now = next;
    rate = filled(c, active);
    for (int f : active)
      end[f] = now + std::llround(std::max(0.0, remaining[static_cast<std::size_t>(f)]) / rate[f] * 1e12);
  }
  return ends;
}

struct Outcome {
  std::vector<std::int64_t> ends;
  std::uint64_t digest = 0;
};

/// Runs the case and compares all rates, and the load of all links, at every instant at which something changes.
Outcome run_checked(const Case& c) {
  EventQueue queue;
  std::vector<Link> links;
  for (double capacity : c.capacities) links.push_back({"", Bandwidth::bytes_per_second(capacity), Time::zero()});
  Network network(queue, links, kFlow);
  Outcome out;
  out.ends.assign(c.flows.size(), -1);
  std::set<int> active;
  std::vector<double> moved(c.flows.size(), 0);  // integral of the rate
  std::map<int, double> rate;
  Time last;
  const auto advance = [&](Time to) {
    for (int f : active) moved[static_cast<std::size_t>(f)] += rate[f] * (to - last).seconds();
    last = to;
  };
  for (std::size_t f = 0; f < c.flows.size(); ++f)
    queue.push(Time::picoseconds(c.flows[f].start_ps), kStart, static_cast<std::uint32_t>(f), 0);
  while (!queue.empty()) {
    const Event event = queue.pop();
    advance(event.time);
    std::uint64_t token = 0;
    if (event.kind == kStart) {
      const RandomFlow& flow = c.flows[event.a];
      network.start(flow.links, flow.bytes, Bandwidth::bytes_per_second(flow.cap), event.a);
      if (flow.bytes > 0) active.insert(static_cast<int>(event.a));
      queue.push_last(kProbe, 0, 0);
    } else if (event.kind == kFlow) {
      if (!network.finish(event, token)) continue;
      RC_ASSERT(out.ends[token] == -1);
      out.ends[token] = event.time.picoseconds();
      active.erase(static_cast<int>(token));
      queue.push_last(kProbe, 0, 0);
    } else {
      network.settle();
      const auto expected = filled(c, active);
      std::vector<double> load(c.capacities.size(), 0);
      for (int f : active) {
        rate[f] = network.rate_of(static_cast<std::uint64_t>(f));
        RC_ASSERT(std::abs(rate[f] - expected.at(f)) <= 1e-9 * expected.at(f));
        for (auto l : c.flows[static_cast<std::size_t>(f)].links) load[static_cast<std::size_t>(l)] += rate[f];
      }
      for (std::size_t l = 0; l < load.size(); ++l) RC_ASSERT(load[l] <= c.capacities[l] * (1 + 1e-9));
    }
  }
  RC_ASSERT(network.active() == 0U);
  std::vector<double> bytes(c.capacities.size(), 0);
  std::vector<std::int64_t> flows(c.capacities.size(), 0);
  for (std::size_t f = 0; f < c.flows.size(); ++f) {
    // An end is rounded by at most half a picosecond: what the flow can carry in it may be missing or too much.
    RC_ASSERT(std::abs(moved[f] - c.flows[f].bytes) <= 0.5e-12 * slowest(c, f) + 1e-9 * c.flows[f].bytes);
    for (auto l : c.flows[f].links) {
      bytes[static_cast<std::size_t>(l)] += c.flows[f].bytes;
      ++flows[static_cast<std::size_t>(l)];
    }
  }
  for (std::size_t l = 0; l < bytes.size(); ++l) {
    RC_ASSERT(std::abs(network.use(l).bytes - bytes[l]) <= 1e-12 * bytes[l]);
    RC_ASSERT(network.use(l).flows == flows[l]);
  }
  out.digest = queue.digest();
  return out;
}

RC_GTEST_PROP(NetworkProperty, RatesAndEndsEqualProgressiveFillingFromScratch, ()) {
  const Case c = random_case();
  const Outcome out = run_checked(c);
  const auto expected = oracle_ends(c);
  for (std::size_t f = 0; f < c.flows.size(); ++f) {
    RC_ASSERT(out.ends[f] == expected[f]);
  }
}

RC_GTEST_PROP(NetworkProperty, NoFlowBeatsItsSlowestLink, ()) {
  const Case c = random_case();
  const Outcome out = run_checked(c);
  for (std::size_t f = 0; f < c.flows.size(); ++f) {
    RC_ASSERT(static_cast<double>(out.ends[f] - c.flows[f].start_ps) >=
              c.flows[f].bytes / slowest(c, f) * 1e12 - 0.501);
  }
}

RC_GTEST_PROP(NetworkProperty, SameRunSameDigest, ()) {
  const Case c = random_case();
  RC_ASSERT(run_checked(c).digest == run_checked(c).digest);
}

}  // namespace
}  // namespace lockstep::sim
