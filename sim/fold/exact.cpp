#include "sim/fold/exact.hpp"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

namespace lockstep::sim {

namespace {

constexpr int kMostRounds = 64;

std::uint64_t hash(std::initializer_list<std::uint64_t> words) {
  Digest d;
  for (std::uint64_t word : words) d.add(word);
  return d.value();
}

/// All that one rank sends to another.
struct Edge {
  int from = 0, to = 0;
  std::uint64_t label = 0;
  std::span<const std::int32_t> links;
};

/// Every segment of the ring has the same length, so that all ranks do the same in all steps.
bool uniform_ring(const Schedule& schedule) {
  const auto* ring = std::get_if<RingSchedule>(&schedule.variant());
  if (!ring || ring->op == CollectiveOp::Reduce || ring->op == CollectiveOp::Broadcast) return false;
  return ring->buffer.length % (std::int64_t{ring->members} * ring->orders.channels() * ring->loops) == 0;
}

/// Collects the edges and own doings of one rank after the other.
class Describer {
 public:
  explicit Describer(std::int64_t most_steps) : left_(most_steps) {}

  bool describe(std::span<const std::shared_ptr<const CollectivePlan>> plans, int rank) {
    own_ = Digest();
    to_.clear();
    for (std::size_t p = 0; p < plans.size(); ++p) {
      for (std::size_t f = 0; f < plans[p]->phases.size(); ++f) {
        const Phase& phase = plans[p]->phases[f];
        own_.add(hash({p, f, plans[p]->takes_part(phase, Rank(rank))}));
        if (plans[p]->takes_part(phase, Rank(rank)) && !describe(*plans[p], phase, rank, hash({p, f}))) return false;
      }
    }
    for (auto& [to, digest] : to_) edges.push_back({rank, to, digest.value(), {}});
    doings.push_back(own_.value());
    return true;
  }

  std::vector<Edge> edges;            // without routes
  std::vector<std::uint64_t> doings;  // by rank

 private:
  bool describe(const CollectivePlan& plan, const Phase& phase, int rank, std::uint64_t where) {
    const Schedule schedule = plan.schedule(phase, Rank(rank));
    const int member = plan.member(phase, Rank(rank));
    const bool uniform = uniform_ring(schedule);
    for (int lane = 0; lane < schedule.lanes(member); ++lane) {
      const std::int64_t steps = schedule.steps(member, lane);
      own_.add(static_cast<std::uint64_t>(steps));
      for (std::int64_t k = 0; k < (uniform ? std::min<std::int64_t>(1, steps) : steps); ++k) {
        if (--left_ < 0) return false;
        const ScheduleStep step = schedule.step(member, lane, k);
        own_.add(static_cast<std::uint64_t>((step.send_to >= 0) | (step.receive_from >= 0) << 1 | step.reduce << 2));
        own_.add(static_cast<std::uint64_t>(step.receive.length));
        for (const auto& wait : step.waits) {
          own_.add(static_cast<std::uint64_t>(wait.lane));
          own_.add(static_cast<std::uint64_t>(wait.steps));
        }
        if (step.send_to < 0) continue;
        Digest& edge = to(plan.rank(phase, Rank(rank), step.send_to).value);
        edge.add(where);
        for (const std::int64_t word :
             {std::int64_t{lane}, k, steps, std::int64_t{step.send_lane}, step.send_step, step.send.length})
          edge.add(static_cast<std::uint64_t>(word));
      }
    }
    return true;
  }

  Digest& to(int rank) {
    for (auto& [to, digest] : to_) {
      if (to == rank) return digest;
    }
    return to_.emplace_back(rank, Digest()).second;
  }

  std::int64_t left_;
  Digest own_;
  std::vector<std::pair<int, Digest>> to_;
};

std::size_t distinct(const std::vector<std::uint64_t>& colours) {
  return std::unordered_set<std::uint64_t>(colours.begin(), colours.end()).size();
}

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

/// Colours of ranks and links, refined in turns. Multisets are hashed by sums, which no order can change.
struct Colours {
  std::vector<std::uint64_t> ranks, links;

  void refine(const std::vector<Edge>& edges) {
    std::vector<std::uint64_t> next = ranks, crossed = links;
    for (const Edge& e : edges) {
      Digest way;
      way.add(e.label);
      way.add(ranks[at(e.to)]);
      for (std::int32_t l : e.links) way.add(links[at(l)]);
      next[at(e.from)] += way.value();
      next[at(e.to)] += hash({e.label, ranks[at(e.from)], 1});
      const std::uint64_t load = hash({e.label, ranks[at(e.from)], 2});
      for (std::int32_t l : e.links) crossed[at(l)] += load;
    }
    for (std::size_t r = 0; r < ranks.size(); ++r) ranks[r] = hash({ranks[r], next[r]});
    for (std::size_t l = 0; l < links.size(); ++l) links[l] = hash({links[l], crossed[l]});
  }
};

std::shared_ptr<const Fold> fold_of(const std::vector<Edge>& edges, const Colours& colours) {
  auto fold = std::make_shared<Fold>();
  std::unordered_map<std::uint64_t, int> first_rank;
  for (std::size_t r = 0; r < colours.ranks.size(); ++r) {
    const auto [it, fresh] = first_rank.emplace(colours.ranks[r], static_cast<int>(r));
    fold->representative.push_back(it->second);
    if (fresh) fold->simulated.push_back(static_cast<int>(r));
  }
  std::unordered_map<std::uint64_t, std::int32_t> first_link;
  for (std::size_t l = 0; l < colours.links.size(); ++l)
    first_link.emplace(colours.links[l], static_cast<std::int32_t>(l));

  // How many edges of a kind cross the link that stands for its class.
  std::unordered_map<std::uint64_t, std::int32_t> load;
  const auto kind = [&](const Edge& e) { return hash({e.label, colours.ranks[at(e.from)]}); };
  for (const Edge& e : edges) {
    for (std::int32_t l : e.links) {
      if (first_link.at(colours.links[at(l)]) == l) ++load[hash({kind(e), static_cast<std::uint64_t>(l)})];
    }
  }
  for (const Edge& e : edges) {
    if (!fold->simulates(e.from)) continue;
    Fold::Path path;
    for (std::int32_t l : e.links) {
      const std::int32_t stands = first_link.at(colours.links[at(l)]);
      if (std::find(path.links.begin(), path.links.end(), stands) != path.links.end()) continue;
      path.links.push_back(stands);
      path.counts.push_back(load.at(hash({kind(e), static_cast<std::uint64_t>(stands)})));
    }
    fold->paths.emplace(Fold::key(e.from, e.to), std::move(path));
  }
  return fold;
}

}  // namespace

std::shared_ptr<const Fold> exact_fold(Fabric& fabric, const EngineSettings& settings,
                                       std::span<const std::shared_ptr<const CollectivePlan>> plans,
                                       std::vector<std::uint64_t> colours, std::int64_t most_steps) {
  const std::size_t world = colours.size();
  if (distinct(colours) == world) return nullptr;
  // An edge does not tell which part of its way a message crosses then.
  if (std::any_of(plans.begin(), plans.end(), [](const auto& plan) { return plan->added_in_switches(); }))
    return nullptr;
  Describer describer(most_steps);
  for (std::size_t r = 0; r < world; ++r) {
    if (!describer.describe(plans, static_cast<int>(r))) return nullptr;
  }
  Colours c;
  c.ranks = std::move(colours);
  for (std::size_t r = 0; r < world; ++r) c.ranks[r] = hash({c.ranks[r], describer.doings[r]});
  for (const Link& link : fabric.links())
    c.links.push_back(hash({std::bit_cast<std::uint64_t>(link.capacity.bytes_per_second())}));
  std::vector<Edge>& edges = describer.edges;
  for (Edge& e : edges) {
    const Route& route = fabric.route(settings.gpu_of_rank[at(e.from)], settings.gpu_of_rank[at(e.to)]);
    e.links = route.links;
    e.label = hash({e.label, static_cast<std::uint64_t>(route.latency.picoseconds()),
                    static_cast<std::uint64_t>(route.path_class), route.staged});
  }

  std::size_t rank_classes = distinct(c.ranks), link_classes = distinct(c.links);
  for (int round = 0; round < kMostRounds; ++round) {
    if (rank_classes == world) return nullptr;
    c.refine(edges);
    const std::size_t ranks = distinct(c.ranks), links = distinct(c.links);
    if (ranks == rank_classes && links == link_classes) return fold_of(edges, c);
    rank_classes = ranks;
    link_classes = links;
  }
  return nullptr;
}

}  // namespace lockstep::sim
