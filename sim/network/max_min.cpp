#include "sim/network/max_min.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace lockstep::sim {
namespace {

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

}  // namespace

void MaxMin::clear() {
  flows_.clear();
  rows_.clear();
  flows_of_.clear();
}

std::int32_t MaxMin::add_flow(double cap) {
  flows_.push_back({cap, -1, 0, 0, 0});
  return static_cast<std::int32_t>(flows_.size()) - 1;
}

std::int32_t MaxMin::add_link(double capacity) {
  const auto begin = static_cast<std::int32_t>(flows_of_.size());
  rows_.push_back({capacity, 0, begin, begin, std::numeric_limits<double>::infinity()});
  return static_cast<std::int32_t>(rows_.size()) - 1;
}

void MaxMin::cross(std::int32_t flow, std::int32_t count) {
  flows_of_.push_back({flow, count});
  ++flows_[at(flow)].crossed;
  ++rows_.back().end;
  rows_.back().open += count;
}

void MaxMin::index_links() {
  std::int32_t offset = 0;
  for (Flow& flow : flows_) {
    flow.begin = flow.end = offset;
    offset += flow.crossed;
  }
  links_of_.resize(flows_of_.size());
  for (std::size_t l = 0; l < rows_.size(); ++l) {
    for (std::int32_t i = rows_[l].begin; i < rows_[l].end; ++i) {
      const auto [flow, count] = flows_of_[at(i)];
      links_of_[at(flows_[at(flow)].end++)] = {static_cast<std::int32_t>(l), count};
    }
  }
}

void MaxMin::fix(Flow& flow, double rate) {
  flow.rate = rate;
  for (std::int32_t i = flow.begin; i < flow.end; ++i) {
    const auto [link, count] = links_of_[at(i)];
    LinkRow& row = rows_[at(link)];
    // One by one, as flows of their own would be taken off: the same roundings.
    for (std::int32_t k = 0; k < count; ++k) row.left = std::max(0.0, row.left - rate);
    row.open -= count;
  }
}

void MaxMin::solve() {
  index_links();
  heap_.clear();
  for (std::size_t l = 0; l < rows_.size(); ++l) {
    if (rows_[l].open > 0) heap_.emplace_back(rows_[l].left / rows_[l].open, static_cast<std::int32_t>(l));
  }
  const std::greater<> later;
  std::make_heap(heap_.begin(), heap_.end(), later);
  by_cap_.resize(flows_.size());
  for (std::size_t f = 0; f < flows_.size(); ++f) by_cap_[f] = static_cast<std::int32_t>(f);
  std::sort(by_cap_.begin(), by_cap_.end(), [this](std::int32_t x, std::int32_t y) {
    return flows_[at(x)].cap != flows_[at(y)].cap ? flows_[at(x)].cap < flows_[at(y)].cap : x < y;
  });

  std::size_t next = 0;
  for (;;) {
    while (next < by_cap_.size() && flows_[at(by_cap_[next])].rate >= 0) ++next;
    if (next == by_cap_.size()) return;
    Flow& smallest = flows_[at(by_cap_[next])];

    double share = std::numeric_limits<double>::infinity();
    std::int32_t bottleneck = -1;
    while (!heap_.empty()) {
      const auto [bound, l] = heap_.front();
      if (bound >= smallest.cap) break;  // a lower bound: no link can bind before this cap
      const LinkRow& row = rows_[at(l)];
      const double now = row.open > 0 ? row.left / row.open : 0;
      if (row.open > 0 && now <= bound) {
        share = now;
        bottleneck = l;
        break;
      }
      std::pop_heap(heap_.begin(), heap_.end(), later);
      if (row.open > 0) {
        heap_.back().first = now;
        std::push_heap(heap_.begin(), heap_.end(), later);
      } else {
        heap_.pop_back();
      }
    }
    if (bottleneck < 0 || smallest.cap <= share) {
      fix(smallest, smallest.cap);
    } else {
      LinkRow& row = rows_[at(bottleneck)];
      row.share = share;
      for (std::int32_t i = row.begin; i < row.end; ++i) {
        if (Flow& flow = flows_[at(flows_of_[at(i)].other)]; flow.rate < 0) fix(flow, share);
      }
    }
  }
}

}  // namespace lockstep::sim
