// One max-min problem of at most 64 flows: what MaxMin does, with the flows of a link as the bits of one word.
//
// Nearly all problems of a simulation are this small: a few flows, a dozen links in a row that the same flows cross. Then
// looking through all links costs less than a heap and lists of who crosses what.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace lockstep::sim {

/// Same rates as MaxMin, bit by bit, as long as every flow counts once and links of the same flows have equal capacities or such as roundings do not make
/// equal. Keeps its memory from problem to problem.
/// O(rows) per bottleneck and per cap that binds, O(flows * flows) for caps in the worst order.
class SmallMaxMin {
 public:
  static constexpr int kFlows = 64;

  /// Forgets the problem.
  void clear() {
    flows_ = 0;
    rows_.clear();
  }
  /// As MaxMin::add_flow; no more than kFlows.
  std::int32_t add_flow(double cap) {
    caps_[static_cast<std::size_t>(flows_)] = cap;
    return flows_++;
  }
  /// A link that the flows of `who` (not 0) cross. Links of the same flows may become one row: the first of the narrowest ones
  /// keeps its place in the order, which tells links of equal shares apart and so decides the last bit of some rates.
  void add_link(double capacity, std::uint64_t who) {
    // Links of the same flows often follow each other; other rows are found by a hash that may be out of date.
    if (!rows_.empty() && rows_.back().merges == who) {
      rows_.back().left = std::min(rows_.back().left, capacity);
      return;
    }
    std::uint8_t& row = row_of_[(who * 0x9e3779b97f4a7c15U) >> 58];  // Fibonacci hashing
    if (row < rows_.size() && rows_[row].merges == who) {
      if (rows_[row].left <= capacity) return;
      rows_[row].who = rows_[row].merges = 0;  // never binds
    }
    row = static_cast<std::uint8_t>(rows_.size());  // if cut off, it is some other row's
    rows_.push_back({capacity, who, who});
  }
  /// The same, but always a row of its own, for share(). Returns it.
  std::int32_t add_row(double capacity, std::uint64_t who) {
    rows_.push_back({capacity, who, 0});
    return static_cast<std::int32_t>(rows_.size()) - 1;
  }
  void solve();
  double rate(std::int32_t flow) const { return rates_[static_cast<std::size_t>(flow)]; }
  /// As MaxMin::share. Of rows that would bind together, the first one has held the flows back.
  double share(std::int32_t row) const { return shares_[static_cast<std::size_t>(row)]; }

 private:
  struct Row {
    double left;
    std::uint64_t who;     ///< flows without a rate
    std::uint64_t merges;  ///< flows of the links that may join this row; 0: none may
  };
  void sort_caps();
  std::size_t least_bound() const;
  void fix(std::uint64_t who, double rate);

  std::int32_t flows_ = 0;
  std::array<double, kFlows> caps_;
  std::array<double, kFlows> rates_;
  std::array<std::uint8_t, kFlows> by_cap_;
  std::uint64_t open_ = 0;  ///< flows without a rate
  std::vector<Row> rows_;
  std::vector<double>
      bounds_;  ///< by row: an old share, a lower bound of the present one; infinite once all have a rate
  std::vector<double> shares_;  ///< by row
  std::array<std::uint8_t, 64> row_of_{};
};

}  // namespace lockstep::sim
