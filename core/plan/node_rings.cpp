#include "core/plan/node_rings.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

constexpr int kMoves = 1000000;  // extensions of a path after which the search is content with the best set so far

/// Finds a largest set of Hamiltonian cycles in the multigraph of NVLink cables.
class CycleSearch {
 public:
  CycleSearch(std::vector<std::vector<int>> cables, int at_most)
      : left_(std::move(cables)), n_(static_cast<int>(left_.size())), goal_(at_most) {
    int degree = std::numeric_limits<int>::max();
    for (const auto& row : left_) degree = std::min(degree, std::accumulate(row.begin(), row.end(), 0));
    goal_ = std::min(goal_, degree / 2);
  }

  std::vector<std::vector<int>> run() {
    if (goal_ > 0) add_cycle();
    return best_;
  }

 private:
  bool add_cycle() {
    if (found_.size() > best_.size()) best_ = found_;
    if (static_cast<int>(best_.size()) >= goal_) return true;
    std::vector<int> path{0};
    std::vector<char> used(static_cast<std::size_t>(n_), 0);
    used[0] = 1;
    return extend(path, used);
  }

  /// Grows the path in all ways; true when the search is over.
  bool extend(std::vector<int>& path, std::vector<char>& used) {
    if (++moves_ > kMoves) return true;
    const int at = path.back();
    if (static_cast<int>(path.size()) == n_) {
      if (left_[static_cast<std::size_t>(at)][0] == 0 || path[1] > path.back())
        return false;  // one of the two directions is enough
      take(at, 0, -1);
      found_.push_back(path);
      const bool done = add_cycle() || moves_ > kMoves;
      found_.pop_back();
      take(at, 0, +1);
      return done;
    }
    // Thick connections first: they carry a share of more than one cycle.
    std::vector<int> next;
    for (int g = 0; g < n_; ++g) {
      if (!used[static_cast<std::size_t>(g)] && left_[static_cast<std::size_t>(at)][static_cast<std::size_t>(g)] > 0)
        next.push_back(g);
    }
    std::stable_sort(next.begin(), next.end(), [&](int a, int b) {
      return left_[static_cast<std::size_t>(at)][static_cast<std::size_t>(a)] >
             left_[static_cast<std::size_t>(at)][static_cast<std::size_t>(b)];
    });
    for (int g : next) {
      take(at, g, -1);
      used[static_cast<std::size_t>(g)] = 1;
      path.push_back(g);
      const bool done = extend(path, used);
      path.pop_back();
      used[static_cast<std::size_t>(g)] = 0;
      take(at, g, +1);
      if (done) return true;
    }
    return false;
  }

  void take(int a, int b, int change) {
    left_[static_cast<std::size_t>(a)][static_cast<std::size_t>(b)] += change;
    left_[static_cast<std::size_t>(b)][static_cast<std::size_t>(a)] += change;
  }

  std::vector<std::vector<int>> left_;
  int n_, goal_;
  int moves_ = 0;
  std::vector<std::vector<int>> found_, best_;
};

/// The path through all GPUs whose weakest pair has at least `least` cables; empty if there is none.
class PathSearch {
 public:
  PathSearch(const std::vector<std::vector<int>>& cables, int least) : cables_(cables), least_(least) {}

  std::vector<int> run() {
    for (int first = 0; first < size(); ++first) {
      path_ = {first};
      if (extend()) return path_;
    }
    return {};
  }

 private:
  int size() const { return static_cast<int>(cables_.size()); }
  bool extend() {
    if (static_cast<int>(path_.size()) == size()) return true;
    if (++moves_ > kMoves) return false;
    for (int next = 0; next < size(); ++next) {
      if (std::find(path_.begin(), path_.end(), next) != path_.end()) continue;
      if (cables_[static_cast<std::size_t>(path_.back())][static_cast<std::size_t>(next)] < least_) continue;
      path_.push_back(next);
      if (extend()) return true;
      path_.pop_back();
    }
    return false;
  }

  const std::vector<std::vector<int>>& cables_;
  int least_;
  int moves_ = 0;
  std::vector<int> path_;
};

std::vector<std::vector<int>> cables_among(const NodeSpec& node, int gpus) {
  std::vector<std::vector<int>> cables(static_cast<std::size_t>(gpus),
                                       std::vector<int>(static_cast<std::size_t>(gpus), 0));
  for (const NvlinkPair& p : node.nvlink.pairs) {
    if (p.a >= gpus || p.b >= gpus) continue;
    cables[static_cast<std::size_t>(p.a)][static_cast<std::size_t>(p.b)] += p.links;
    cables[static_cast<std::size_t>(p.b)][static_cast<std::size_t>(p.a)] += p.links;
  }
  return cables;
}

/// NICs of these GPUs that their PCIe links can keep busy, as a library reckons that knows the bus and not what copies through host memory reach. Orders over
/// PCIe take the same links, so more of them serve only to leave by other NICs.
int doors(const NodeSpec& node, int gpus) {
  if (node.nic.count == 0 || !(node.nic.rate.value.bytes_per_second() > 0)) return 1;
  std::set<int> nics;
  for (int gpu = 0; gpu < gpus; ++gpu) nics.insert(node.nic_of(gpu));
  Bandwidth link = node.pcie.x16.value;
  if (node.pcie.host_link.value.bytes_per_second() > 0) link = std::min(link, node.pcie.host_link.value);
  const double kept_busy = link.bytes_per_second() / node.nic.rate.value.bytes_per_second();
  return static_cast<int>(std::clamp(kept_busy, 1.0, static_cast<double>(nics.size())));
}

std::vector<int> pcie_order(const NodeSpec& node, int gpus) {
  std::vector<int> order;
  for (const auto& s : node.pcie.switches) {
    for (int g : s) {
      if (g < gpus) order.push_back(g);
    }
  }
  if (static_cast<int>(order.size()) != gpus) {
    order.resize(static_cast<std::size_t>(gpus));
    std::iota(order.begin(), order.end(), 0);
  }
  return order;
}

}  // namespace

std::vector<std::vector<int>> node_rings(const NodeSpec& node, int gpus, int at_most) {
  LOCKSTEP_EXPECTS(gpus >= 1);
  const int limit = at_most > 0 ? at_most : std::numeric_limits<int>::max();
  std::vector<std::vector<int>> rings;
  std::vector<int> identity(static_cast<std::size_t>(gpus));
  std::iota(identity.begin(), identity.end(), 0);
  const auto both_ways = [&](const std::vector<int>& cycle) {
    if (static_cast<int>(rings.size()) < limit) rings.push_back(cycle);
    if (static_cast<int>(rings.size()) < limit) {
      rings.push_back(cycle);
      std::reverse(rings.back().begin() + 1, rings.back().end());
    }
  };

  if (gpus > 1 && node.nvlink.present && node.nvlink.through_switch) {
    const int count = std::min(node.nvlink.links_per_gpu, limit);
    for (int i = 0; i < count; ++i) {
      rings.push_back(identity);
      std::rotate(rings.back().begin(), rings.back().begin() + i * gpus / count, rings.back().end());
    }
  } else if (gpus > 1 && node.nvlink.present) {
    const auto cables = cables_among(node, gpus);
    if (gpus == 2) {  // there and back over the same cable, one direction each
      for (int i = 0; i < std::min(cables[0][1], limit); ++i) rings.push_back(identity);
    } else {
      for (const auto& cycle : CycleSearch(cables, limit / 2 + limit % 2).run()) both_ways(cycle);
    }
  }
  const int orders = rings.empty() ? std::clamp(std::min(at_most, doors(node, gpus)), 1, gpus) : 0;
  for (int i = 0; i < orders; ++i) {
    rings.push_back(pcie_order(node, gpus));
    std::rotate(rings.back().begin(), rings.back().begin() + i * gpus / orders, rings.back().end());
  }
  return rings;
}

std::vector<std::vector<int>> node_chains(const NodeSpec& node, int gpus, int at_most) {
  auto rings = node_rings(node, gpus, at_most);
  if (gpus == 1 || !node.nvlink.present || node.nvlink.through_switch) return rings;
  const auto cables = cables_among(node, gpus);
  bool closed = true;
  for (std::size_t i = 0; i < rings[0].size(); ++i) {
    const int a = rings[0][i], b = rings[0][(i + 1) % rings[0].size()];
    closed = closed && cables[static_cast<std::size_t>(a)][static_cast<std::size_t>(b)] > 0;
  }
  if (closed) return rings;
  int most = 0;
  for (const auto& row : cables) most = std::max(most, *std::max_element(row.begin(), row.end()));
  for (int least = most; least > 0; --least) {
    if (auto path = PathSearch(cables, least).run(); !path.empty()) return {path};
  }
  return rings;
}

}  // namespace lockstep
