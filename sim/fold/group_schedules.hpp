// The schedules of a phase, rank by rank.
#pragma once

#include <cstddef>
#include <variant>
#include <vector>

#include "core/plan/collective.hpp"

namespace lockstep::sim {

inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// A ring of equal steps: no chain.
inline bool is_ring(const Schedule& schedule) {
  const auto* ring = std::get_if<RingSchedule>(&schedule.variant());
  return ring && ring->op != CollectiveOp::Reduce && ring->op != CollectiveOp::Broadcast;
}

/// The schedules of a phase's groups, by rank; groups differ in lengths only.
class GroupSchedules {
 public:
  GroupSchedules(const CollectivePlan& plan, const Phase& phase) : plan_(plan), phase_(phase) {
    const int groups = phase.group == Group::Column ? plan.grid.x : 1;
    for (int g = 0; g < groups; ++g) schedules_.push_back(plan.schedule(phase, Rank(g)));
  }
  bool takes_part(int rank) const { return plan_.takes_part(phase_, Rank(rank)); }
  const Schedule& of(int rank) const { return schedules_[at(schedules_.size() > 1 ? rank % plan_.grid.x : 0)]; }
  int member(int rank) const { return plan_.member(phase_, Rank(rank)); }
  std::int64_t length(int rank) const {  ///< of its group's buffer, in elements
    return std::visit([](const auto& s) { return s.buffer.length; }, of(rank).variant());
  }
  int peer(int rank, int member) const { return plan_.rank(phase_, Rank(rank), member).value; }

 private:
  const CollectivePlan& plan_;
  const Phase& phase_;
  std::vector<Schedule> schedules_;
};

}  // namespace lockstep::sim
