#include "sim/network/small_max_min.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace lockstep::sim {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

}  // namespace

void SmallMaxMin::sort_caps() {
  for (std::int32_t f = 0; f < flows_; ++f) {
    std::int32_t to = f;
    for (; to > 0 && caps_[by_cap_[at(to - 1)]] > caps_[at(f)]; --to) by_cap_[at(to)] = by_cap_[at(to - 1)];
    by_cap_[at(to)] = static_cast<std::uint8_t>(f);
  }
}

std::size_t SmallMaxMin::least_bound() const {
  const double* bounds = bounds_.data();
  const std::size_t rows = bounds_.size();
  std::size_t least = 0;
  double bound = kInfinite;
  for (std::size_t r = 0; r < rows; ++r) {
    if (bounds[r] < bound) {
      bound = bounds[r];
      least = r;
    }
  }
  return least;
}

void SmallMaxMin::fix(std::uint64_t who, double rate) {
  for (std::uint64_t bits = who; bits; bits &= bits - 1) rates_[at(std::countr_zero(bits))] = rate;
  for (Row& row : rows_) {
    for (std::uint64_t bits = row.who & who; bits; bits &= bits - 1) row.left = std::max(0.0, row.left - rate);
    row.who &= ~who;
  }
  open_ &= ~who;
}

void SmallMaxMin::solve() {
  sort_caps();
  bounds_.resize(rows_.size());
  shares_.assign(rows_.size(), kInfinite);
  for (std::size_t r = 0; r < rows_.size(); ++r) bounds_[r] = rows_[r].left / std::popcount(rows_[r].who);
  open_ = flows_ == kFlows ? ~std::uint64_t{0} : (std::uint64_t{1} << flows_) - 1;
  for (int next = 0; open_ != 0;) {
    while (!(open_ >> by_cap_[at(next)] & 1)) ++next;
    const std::uint8_t smallest = by_cap_[at(next)];
    for (;;) {
      const std::size_t r = least_bound();
      if (rows_.empty() || bounds_[r] >= caps_[smallest]) {  // a lower bound: no link can bind before this cap
        fix(std::uint64_t{1} << smallest, caps_[smallest]);
        break;
      }
      const std::uint64_t who = rows_[r].who;
      const double now = who ? rows_[r].left / std::popcount(who) : kInfinite;
      if (now <= bounds_[r]) {
        shares_[r] = now;
        fix(who, now);
        break;
      }
      bounds_[r] = now;
    }
  }
}

}  // namespace lockstep::sim
