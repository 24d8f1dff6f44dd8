// The steps of a ring's lanes for who walks through millions of them: what RingSchedule::step() says, by table.
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan/schedule.hpp"

namespace lockstep {

/// Segments of a ring differ by one element at most, and so do the parts of them that a channel carries: a channel knows two
/// lengths, and one bit per place says which. Building costs O(members x channels), a step a few additions.
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
    const bool reducing = index < reducing_steps_;
    const std::int32_t hop = reducing ? index + 1 : index - reducing_steps_;
    const std::int32_t sent = place >= hop ? place - hop : place - hop + members_;
    const std::int32_t received = sent > 0 ? sent - 1 : members_ - 1;
    return {length(lane, sent), length(lane, received), reducing};
  }

 private:
  struct Lengths {
    std::int64_t of[2];  ///< [longer]
  };
  std::int64_t length(int lane, std::int32_t place) const {
    const auto l = static_cast<std::size_t>(lane);
    return lengths_[l].of[longer_[l * static_cast<std::size_t>(members_) + static_cast<std::size_t>(place)]];
  }

  std::int32_t members_ = 1, reducing_steps_ = 0;
  std::vector<Lengths> lengths_;      ///< by channel
  std::vector<std::uint8_t> longer_;  ///< by channel and place
};

}  // namespace lockstep
