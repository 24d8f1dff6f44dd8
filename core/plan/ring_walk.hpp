// The steps of a ring's lanes for who walks through millions of them: what RingSchedule::step() says, by table.
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan/schedule.hpp"

namespace lockstep {

/// Loops of a ring differ by one element at most, segments of a loop too, and so do the parts of them that a channel carries: per kind of loop a
/// channel knows two lengths, and one bit per place says which. Building costs O(members x channels), a step a few additions.
class RingWalk {
 public:
  /// `ring.op`: Allreduce, ReduceScatter or AllGather; members > 1.
  explicit RingWalk(const RingSchedule& ring);

  struct Step {
    std::int64_t sent = 0, received = 0;  ///< elements
    bool reduce = false;
  };
  /// As RingSchedule::step(member, lane, index) for the member at `place` of the lane's channel: always to the next place, always
  /// to the same lane and step, without waits. 0 <= index < steps.
  Step step(int lane, int place, std::int32_t index) const {
    const std::int32_t loop = loops_ == 1 ? 0 : index / once_;
    const Table& table = tables_[longer_loop_.empty() ? 0 : longer_loop_[static_cast<std::size_t>(loop)]];
    index -= loop * once_;
    const bool reducing = index < reducing_steps_;
    const std::int32_t hop = reducing ? index + 1 : index - reducing_steps_;
    const std::int32_t sent = place >= hop ? place - hop : place - hop + members_;
    const std::int32_t received = sent > 0 ? sent - 1 : members_ - 1;
    return {length(table, lane, sent), length(table, lane, received), reducing};
  }

 private:
  struct Lengths {
    std::int64_t of[2];  ///< [longer]
  };
  struct Table {
    std::vector<Lengths> lengths;      ///< by channel
    std::vector<std::uint8_t> longer;  ///< by channel and place
  };
  static Table table_of(const RingSchedule& ring, std::int64_t length);
  std::int64_t length(const Table& table, int lane, std::int32_t place) const {
    const auto l = static_cast<std::size_t>(lane);
    return table.lengths[l].of[table.longer[l * static_cast<std::size_t>(members_) + static_cast<std::size_t>(place)]];
  }

  std::int32_t members_ = 1, reducing_steps_ = 0, once_ = 0, loops_ = 1;
  std::vector<std::uint8_t> longer_loop_;  ///< by loop; empty: all are as long
  Table tables_[2];                        ///< of a loop, [longer]
};

}  // namespace lockstep
