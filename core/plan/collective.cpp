#include "core/plan/collective.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/base/error.hpp"
#include "core/plan/ring_doors.hpp"
#include "core/plan/tree_chunk.hpp"

namespace lockstep {

namespace {

int group_size(const CollectivePlan& plan, const Phase& phase) {
  switch (phase.group) {
    case Group::World: return plan.grid.size();
    case Group::Row: return plan.grid.x;
    case Group::Column:
    case Group::Leaders: return plan.grid.y;
  }
  return 1;
}

std::string op_text(CollectiveOp op) {
  switch (op) {
    case CollectiveOp::Allreduce: return "allreduce";
    case CollectiveOp::ReduceScatter: return "reduce-scatter";
    case CollectiveOp::AllGather: return "all-gather";
    case CollectiveOp::Reduce: return "reduce";
    case CollectiveOp::Broadcast: return "broadcast";
  }
  return "?";
}

/// Ways through full nodes and through the last one, if it is short of GPUs: equally many.
struct Ways {
  std::vector<std::vector<int>> full, last;
};

Ways ways_of(const CollectiveRequest& r, int local) {
  Ways ways{r.ring_orders, r.last_orders};
  const int rest = r.world_size % local;
  if (rest == 0) ways.last.clear();
  if (rest == 0 || ways.full.empty()) return ways;
  if (ways.last.empty()) {
    ways.last = ways.full;
    for (auto& order : ways.last) std::erase_if(order, [&](int gpu) { return gpu >= rest; });
  }
  const std::size_t channels = std::min(ways.full.size(), ways.last.size());
  ways.full.resize(channels);
  ways.last.resize(channels);
  return ways;
}

/// Channels that walk every node's GPUs in that node's ring order, node after node. Which way through the last node a channel takes is open: one on
/// the rail that it comes by, if there is one left.
std::vector<std::vector<int>> orders_over_nodes(const Ways& inside, int world, const std::vector<int>& nic_of) {
  const int per_node = static_cast<int>(inside.full.front().size());
  if (world <= per_node) return inside.full;
  const auto full = opened(inside.full, nic_of);
  auto last = inside.last.empty() ? full : opened(inside.last, nic_of);
  if (!inside.last.empty() && !nic_of.empty()) {
    const auto nic = [&](int gpu) { return nic_of[static_cast<std::size_t>(gpu)]; };
    for (std::size_t c = 0; c < full.size(); ++c) {
      const auto from = last.begin() + static_cast<std::ptrdiff_t>(c);
      const auto same =
          std::find_if(from, last.end(), [&](const auto& way) { return nic(way.front()) == nic(full[c].back()); });
      if (same != last.end()) std::iter_swap(from, same);
    }
  }
  std::vector<std::vector<int>> orders;
  for (std::size_t c = 0; c < full.size(); ++c) {
    std::vector<int> order;
    order.reserve(static_cast<std::size_t>(world));
    for (int first = 0; first < world; first += per_node) {
      for (int local : first + per_node <= world ? full[c] : last[c]) order.push_back(first + local);
    }
    orders.push_back(std::move(order));
  }
  return orders;
}

/// Elements that a phase of trees or chains passes on at a time, over `depth` levels on a buffer of `elements`.
std::int64_t chunk_of(const CollectiveRequest& r, const Phase& phase, std::int64_t elements, int depth) {
  constexpr Bytes kLargest = Bytes::kib(512);
  if (r.chunk > 0) return r.chunk;
  const std::int64_t bytes =
      phase.algorithm == PhaseAlgorithm::Tree
          ? tree_chunk(Bytes(elements * r.element_bytes), kLargest, phase.orders.channels() * phase.copies, depth)
          : kLargest.count();
  return std::max<std::int64_t>(1, bytes / r.element_bytes);
}

int levels(int members) { return std::bit_width(static_cast<unsigned>(members)); }

PhaseAlgorithm phase_algorithm(AllreduceAlgorithm a) {
  switch (a) {
    case AllreduceAlgorithm::Ring: return PhaseAlgorithm::Ring;
    case AllreduceAlgorithm::HalvingDoubling: return PhaseAlgorithm::HalvingDoubling;
    case AllreduceAlgorithm::Tree:
    case AllreduceAlgorithm::NodeTree: return PhaseAlgorithm::Tree;
    case AllreduceAlgorithm::Nvls: return PhaseAlgorithm::Nvls;
    default: break;
  }
  throw InternalError("not an algorithm of a single phase");
}

}  // namespace

std::string Phase::name() const {
  std::string text = op_text(op);
  switch (group) {
    case Group::World: break;
    case Group::Row: text += " in rows"; break;
    case Group::Column: text += " across rows"; break;
    case Group::Leaders: text += " of leaders"; break;
  }
  switch (algorithm) {
    case PhaseAlgorithm::Ring: return text + " (ring x" + std::to_string(orders.channels()) + ")";
    case PhaseAlgorithm::HalvingDoubling: return text + " (halving-doubling)";
    case PhaseAlgorithm::Tree:
      return text +
             (orders.empty() ? " (double tree)" : " (double tree of nodes x" + std::to_string(orders.channels()) + ")");
    case PhaseAlgorithm::Nvls: return text + " (NVLS in nodes of " + std::to_string(node) + ")";
  }
  return text;
}

bool CollectivePlan::added_in_switches() const {
  return std::any_of(phases.begin(), phases.end(), [](const Phase& p) { return p.algorithm == PhaseAlgorithm::Nvls; });
}

bool CollectivePlan::takes_part(const Phase& phase, Rank rank) const {
  return phase.group != Group::Leaders || rank.value % grid.x == 0;
}

int CollectivePlan::member(const Phase& phase, Rank rank) const {
  switch (phase.group) {
    case Group::World: return rank.value;
    case Group::Row: return rank.value % grid.x;
    case Group::Column:
    case Group::Leaders: return rank.value / grid.x;
  }
  return 0;
}

Rank CollectivePlan::rank(const Phase& phase, Rank peer_of, int member) const {
  switch (phase.group) {
    case Group::World: return Rank(member);
    case Group::Row: return Rank(peer_of.value / grid.x * grid.x + member);
    case Group::Column: return Rank(member * grid.x + peer_of.value % grid.x);
    case Group::Leaders: return Rank(member * grid.x);
  }
  return Rank();
}

Schedule CollectivePlan::schedule(const Phase& phase, Rank rank) const {
  const Span whole{0, elements};
  const Span buffer = phase.group == Group::Column ? part(whole, rank.value % grid.x, grid.x) : whole;
  const int n = group_size(*this, phase);
  LOCKSTEP_EXPECTS(phase.algorithm == PhaseAlgorithm::Ring || phase.op == CollectiveOp::Allreduce);
  switch (phase.algorithm) {
    case PhaseAlgorithm::Ring: return ring_schedule(phase.op, buffer, n, phase.orders, phase.chunk);
    case PhaseAlgorithm::HalvingDoubling: return halving_doubling_schedule(buffer, n);
    case PhaseAlgorithm::Nvls: return nvls_schedule(buffer, n, phase.node, std::max<std::int64_t>(1, phase.chunk));
    case PhaseAlgorithm::Tree:
      return tree_schedule(buffer, n, std::max<std::int64_t>(1, phase.chunk), phase.orders, phase.last_orders);
  }
  throw InternalError("unknown algorithm");
}

CollectivePlan plan_collective(const CollectiveRequest& r) {
  using A = AllreduceAlgorithm;
  LOCKSTEP_EXPECTS(r.world_size >= 1 && r.node_gpus >= 1 && r.elements >= 0 && r.algorithm != A::Auto &&
                   r.algorithm != A::Library);
  CollectivePlan plan;
  plan.algorithm = r.algorithm;
  plan.across = r.across;
  plan.elements = r.elements;
  plan.element_bytes = r.element_bytes;
  const int world = r.world_size;
  const int local = std::min(r.node_gpus, world);
  const auto inside = [&](int row) {
    const bool fits = !r.ring_orders.empty() && static_cast<int>(r.ring_orders.front().size()) == row;
    return fits ? r.ring_orders : std::vector<std::vector<int>>{};
  };

  if (r.algorithm == A::Nvls) {
    LOCKSTEP_EXPECTS(world % local == 0);
    plan.grid = {world, 1};
    if (world == 1) return plan;
    Phase phase;
    phase.algorithm = PhaseAlgorithm::Nvls;
    phase.node = local;
    phase.chunk = r.nvls_chunk;
    plan.phases.push_back(std::move(phase));
    return plan;
  }
  if (r.algorithm == A::Ring || r.algorithm == A::HalvingDoubling || r.algorithm == A::Tree ||
      r.algorithm == A::NodeTree) {
    plan.grid = {world, 1};
    if (world == 1) return plan;
    Phase phase;
    phase.algorithm = phase_algorithm(r.algorithm);
    phase.copies = r.copies;
    if (!inside(local).empty()) {
      const Ways ways = ways_of(r, local);
      if (r.algorithm == A::Ring) phase.orders = orders_over_nodes(ways, world, r.nic_of);
      if (r.algorithm == A::NodeTree) {
        phase.orders = ways.full;
        phase.last_orders = ways.last;
      }
    }
    const int inside_levels = phase.orders.empty() ? 0 : local - 1,
              across_levels = levels(phase.orders.empty() ? world : (world + local - 1) / local);
    phase.chunk = r.algorithm == A::Ring ? r.ring_chunk : chunk_of(r, phase, r.elements, inside_levels + across_levels);
    plan.phases.push_back(std::move(phase));
    return plan;
  }

  const int asked = r.algorithm == A::Torus && r.torus_x > 0 ? r.torus_x : r.node_gpus;
  const int x = std::gcd(asked, world);
  plan.grid = {x, world / x};
  if (world == 1) return plan;
  const PhaseAlgorithm across = phase_algorithm(r.across);
  const auto add = [&](CollectiveOp op, Group group, PhaseAlgorithm algorithm) {
    Phase phase;
    phase.op = op;
    phase.group = group;
    phase.algorithm = algorithm;
    if (group == Group::Row) phase.orders = inside(x);
    const std::int64_t elements = group == Group::Column ? part({0, r.elements}, 0, x).length : r.elements;
    if (algorithm != PhaseAlgorithm::Ring || op != CollectiveOp::Allreduce)
      phase.chunk = chunk_of(r, phase, elements, levels(group_size(plan, phase)));
    if (group_size(plan, phase) > 1) plan.phases.push_back(std::move(phase));
  };
  if (r.algorithm == A::ThreePhase) {
    add(CollectiveOp::Reduce, Group::Row, PhaseAlgorithm::Ring);
    add(CollectiveOp::Allreduce, Group::Leaders, across);
    add(CollectiveOp::Broadcast, Group::Row, PhaseAlgorithm::Ring);
  } else {
    add(CollectiveOp::ReduceScatter, Group::Row, PhaseAlgorithm::Ring);
    add(CollectiveOp::Allreduce, Group::Column, across);
    add(CollectiveOp::AllGather, Group::Row, PhaseAlgorithm::Ring);
  }
  return plan;
}

namespace {

/// Totals of one group of n members over a buffer of `length` elements.
CollectiveCount count_group(const Phase& phase, int n, std::int64_t length) {
  CollectiveCount c;
  const std::int64_t channels = phase.orders.channels();
  const std::int64_t hops = n - 1;
  if (n == 1) return c;
  if (phase.algorithm == PhaseAlgorithm::Tree) {
    const std::int64_t trees = 2 * channels;
    for (std::int64_t tree = 0; tree < trees; ++tree) {
      const std::int64_t half = part({0, length}, tree, trees).length,
                         chunks = chunk_count(half, std::max<std::int64_t>(1, phase.chunk));
      c.messages += 2 * hops * chunks;
      c.elements_sent += 2 * hops * half;
      c.elements_reduced += hops * half;
      c.longest = std::max(c.longest, chunks);
    }
    return c;
  }
  if (phase.algorithm == PhaseAlgorithm::Nvls) {
    const std::int64_t nodes = n / phase.node, parts = std::int64_t{phase.node} * (nodes > 1 ? 2 : 1);
    for (std::int64_t p = 0; p < parts; ++p) {
      const std::int64_t share = part({0, length}, p, parts).length,
                         chunks = chunk_count(share, std::max<std::int64_t>(1, phase.chunk));
      c.messages += 2 * hops * chunks;  // everyone but the root sends once and receives once
      c.elements_sent += 2 * hops * share;
      c.elements_reduced += hops * share;
      c.longest = std::max(c.longest, chunks * (phase.node - 1));  // what a head gathers
    }
    return c;
  }
  if (phase.algorithm == PhaseAlgorithm::HalvingDoubling) {
    // Inside a block of b: 2 lg b messages per member, every element sent b - 1 times each way; neighbours exchange the
    // whole buffer.
    std::int64_t larger = 0;
    for (int b = static_cast<int>(std::bit_floor(static_cast<unsigned>(n))); b > 0; b >>= 1) {
      if (!(n & b)) continue;
      const std::int64_t levels = std::countr_zero(static_cast<unsigned>(b));
      c.messages += 2 * b * levels + 2 * larger;
      c.elements_sent += 2 * length * (b - 1) + (larger ? 2 * length : 0);
      const unsigned rest = static_cast<unsigned>(n) & (static_cast<unsigned>(b) - 1);
      c.longest = std::max(c.longest, 2 * levels + (larger ? 2 * (larger / b) : 0) + (rest ? 2 : 0));
      larger = b;
    }
    c.elements_reduced = length * hops;
    return c;
  }
  switch (phase.op) {
    case CollectiveOp::Allreduce: {
      const std::int64_t loops = phase.chunk > 0 ? chunk_count(length, phase.chunk * n * channels) : 1;
      c = {loops * n * channels * 2 * hops, 2 * hops * length, hops * length, loops * 2 * hops};
      break;
    }
    case CollectiveOp::ReduceScatter: c = {n * channels * hops, hops * length, hops * length, hops}; break;
    case CollectiveOp::AllGather: c = {n * channels * hops, hops * length, 0, hops}; break;
    case CollectiveOp::Reduce:
    case CollectiveOp::Broadcast:
      for (std::int64_t channel = 0; channel < channels; ++channel) {
        const std::int64_t chunks = chunk_count(part({0, length}, channel, channels).length,
                                                phase.chunk > 0 ? phase.chunk : std::max<std::int64_t>(1, length));
        c.messages += hops * chunks;
        c.longest = std::max(c.longest, chunks);
      }
      c.elements_sent = hops * length;
      c.elements_reduced = phase.op == CollectiveOp::Reduce ? hops * length : 0;
      break;
  }
  return c;
}

}  // namespace

CollectiveCount count(const CollectivePlan& plan) {
  CollectiveCount total;
  for (const Phase& phase : plan.phases) {
    const int n = group_size(plan, phase);
    const auto add = [&](const CollectiveCount& c, std::int64_t times) {
      total.messages += c.messages * times;
      total.elements_sent += c.elements_sent * times;
      total.elements_reduced += c.elements_reduced * times;
      return c.longest;
    };
    std::int64_t longest = 0;
    if (phase.group == Group::Column) {
      for (int column = 0; column < plan.grid.x; ++column) {
        longest =
            std::max(longest, add(count_group(phase, n, part({0, plan.elements}, column, plan.grid.x).length), 1));
      }
    } else {
      longest = add(count_group(phase, n, plan.elements), phase.group == Group::Row ? plan.grid.y : 1);
    }
    total.longest += longest;
  }
  return total;
}

}  // namespace lockstep
