#include "core/plan/ring_doors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <random>
#include <set>
#include <span>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Entries, or exits, by the parts of one partition of the GPUs.
class PartLoad {
 public:
  explicit PartLoad(std::vector<int> part_of)
      : part_of_(std::move(part_of)), load_(at(*std::max_element(part_of_.begin(), part_of_.end())) + 1) {}
  void add(int gpu, int change) {
    int& load = load_[at(part_of_[at(gpu)])];
    squares_ += (2 * load + change) * change;
    load += change;
  }
  int squares() const { return squares_; }

 private:
  std::vector<int> part_of_, load_;
  int squares_ = 0;
};

enum Criterion { kNics, kGroups, kRails };
using Cost = std::array<int, 3>;  ///< by criterion; less is better
using Order = std::array<Criterion, 3>;
constexpr Order kWanted = {kNics, kGroups, kRails};

class DoorLoad {
 public:
  DoorLoad(int gpus, const std::vector<int>& nic_of) : nic_of_(nic_of) {
    if (!nic_of.empty()) parts_[kNics] = {PartLoad(nic_of), PartLoad(nic_of)};
    for (int size = 1; size < gpus; ++size) {
      if (!std::has_single_bit(static_cast<unsigned>(size)) && gpus % size != 0) continue;
      std::vector<int> group_of(at(gpus));
      for (int g = 0; g < gpus; ++g) group_of[at(g)] = g / size;
      parts_[kGroups].insert(parts_[kGroups].end(), 2, PartLoad(group_of));
    }
  }
  void add(int in, int out, int change) {
    for (auto& parts : parts_) {
      for (std::size_t i = 0; i < parts.size(); ++i) parts[i].add(i % 2 == 0 ? in : out, change);
    }
    if (!nic_of_.empty() && nic_of_[at(in)] != nic_of_[at(out)]) across_ += change;
  }
  Cost cost(const Order& order) const {
    Cost by_criterion{0, 0, across_}, cost{};
    for (const Criterion c : {kNics, kGroups}) {
      for (const PartLoad& part : parts_[c]) by_criterion[c] += part.squares();
    }
    for (std::size_t i = 0; i < order.size(); ++i) cost[i] = by_criterion[order[i]];
    return cost;
  }

 private:
  std::array<std::vector<PartLoad>, 2> parts_;  ///< entries at even places, exits at odd ones
  const std::vector<int>& nic_of_;
  int across_ = 0;
};

/// Rings with the place at which each begins.
class Doors {
 public:
  Doors(const std::vector<std::vector<int>>& rings, const std::vector<int>& nic_of)
      : rings_(rings), begin_(rings.size()), load_(static_cast<int>(rings.front().size()), nic_of) {}

  /// Opens one ring after the other, each where it is best beside those before.
  void begin(const Order& order) {
    for (std::size_t r = 0; r < rings_.size(); ++r) {
      open(r, 0);
      turn(r, order);
    }
  }
  void begin_anywhere(std::mt19937& random) {
    for (std::size_t r = 0; r < rings_.size(); ++r) open(r, random() % length());
  }
  /// Turns one ring at a time until nothing helps.
  void settle(const Order& order) {
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t r = 0; r < rings_.size(); ++r) changed |= turn(r, order);
    }
  }
  /// Turns two rings at once, where no single turn helps any more; false if no pair helps either.
  bool turn_a_pair(const Order& order) {
    const Cost now = load_.cost(order);
    for (std::size_t a = 0; a < rings_.size(); ++a) {
      for (std::size_t b = a + 1; b < rings_.size(); ++b) {
        const std::array<std::size_t, 2> before = {begin_[a], begin_[b]};
        close(a);
        for (std::size_t i = 0; i < length(); ++i) {
          open(a, i);
          if (turn(b, order) && load_.cost(order) < now) return true;
          close(b), open(b, before[1]);
          close(a);
        }
        open(a, before[0]);
      }
    }
    return false;
  }
  Cost cost() const { return load_.cost(kWanted); }
  std::vector<std::vector<int>> turned() const {
    auto rings = rings_;
    for (std::size_t r = 0; r < rings.size(); ++r)
      std::rotate(rings[r].begin(), rings[r].begin() + static_cast<std::ptrdiff_t>(begin_[r]), rings[r].end());
    return rings;
  }

 private:
  std::size_t length() const { return rings_.front().size(); }
  void add(std::size_t ring, int change) {
    const std::vector<int>& gpus = rings_[ring];
    load_.add(gpus[begin_[ring]], gpus[(begin_[ring] + length() - 1) % length()], change);
  }
  void open(std::size_t ring, std::size_t begin) {
    begin_[ring] = begin;
    add(ring, +1);
  }
  void close(std::size_t ring) { add(ring, -1); }
  /// The ring's best place; true if that is better than where it was.
  bool turn(std::size_t ring, const Order& order) {
    const std::size_t before = begin_[ring];
    Cost least = load_.cost(order);
    std::size_t best = before;
    close(ring);
    for (std::size_t i = 0; i < length(); ++i) {
      open(ring, i);
      if (const Cost now = load_.cost(order); now < least) {
        least = now;
        best = i;
      }
      close(ring);
    }
    open(ring, best);
    return best != before;
  }

  const std::vector<std::vector<int>>& rings_;
  std::vector<std::size_t> begin_;
  DoorLoad load_;
};

/// The least that kNics can cost: `rings` dealt evenly to the NICs of a ring's GPUs, in and out.
int even_squares(const std::vector<int>& gpus, int rings, const std::vector<int>& nic_of) {
  std::set<int> nics;
  for (int gpu : gpus) nics.insert(nic_of[at(gpu)]);
  const int used = static_cast<int>(nics.size()), each = rings / used, more = rings % used;
  return 2 * (more * (each + 1) * (each + 1) + (used - more) * each * each);
}

}  // namespace

std::vector<std::vector<int>> opened(const std::vector<std::vector<int>>& rings, const std::vector<int>& nic_of) {
  LOCKSTEP_EXPECTS(!rings.empty() && (nic_of.empty() || nic_of.size() >= rings.front().size()));
  constexpr std::size_t kMostPairs = 1'000'000;  // of turns; a DGX-2 has 37,000
  constexpr int kDrawn = 64;
  const std::size_t turns = rings.size() * rings.front().size();
  const bool one_nic = nic_of.empty();
  std::vector<std::vector<int>> best;
  Cost least{std::numeric_limits<int>::max()};
  const auto descend = [&](Doors& doors, const Order& order) {
    do {
      doors.settle(order);
    } while (turns * turns <= kMostPairs && doors.turn_a_pair(order));
  };
  const auto keep = [&](const Doors& doors) {
    if (!(doors.cost() < least)) return;
    least = doors.cost();
    best = doors.turned();
  };
  constexpr std::array<Order, 3> kBeginnings = {kWanted, {kRails, kNics, kGroups}, {kGroups, kNics, kRails}};
  for (const Order& beginning : std::span(kBeginnings).first(one_nic ? 1 : kBeginnings.size())) {
    Doors doors(rings, nic_of);
    doors.begin(beginning);
    descend(doors, beginning);
    if (!one_nic) descend(doors, kWanted);
    keep(doors);
  }
  if (one_nic) return best;
  const int even = even_squares(rings.front(), static_cast<int>(rings.size()), nic_of);
  std::mt19937 random(1);
  for (int draw = 0; draw < kDrawn && least[kNics] > even; ++draw) {
    Doors doors(rings, nic_of);
    doors.begin_anywhere(random);
    doors.settle(kWanted);
    keep(doors);
  }
  return best;
}

}  // namespace lockstep
