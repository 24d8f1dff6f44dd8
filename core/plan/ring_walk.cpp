#include "core/plan/ring_walk.hpp"

#include "core/base/error.hpp"

namespace lockstep {

RingWalk::RingWalk(const RingSchedule& ring)
    : members_(ring.members), reducing_steps_(ring.op == CollectiveOp::AllGather ? 0 : ring.members - 1) {
  LOCKSTEP_EXPECTS(ring.members > 1 && ring.op != CollectiveOp::Reduce && ring.op != CollectiveOp::Broadcast);
  const int channels = ring.orders.channels();
  const std::int64_t shorter = ring.buffer.length / ring.members;
  for (int c = 0; c < channels; ++c) {
    // part() of a segment has a length that depends on the segment's length only.
    lengths_.push_back({part({0, shorter}, c, channels).length, part({0, shorter + 1}, c, channels).length});
    for (int place = 0; place < ring.members; ++place) {
      const Span segment = part(ring.buffer, ring.orders.member_at(c, place), ring.members);
      longer_.push_back(segment.length > shorter ? 1 : 0);
    }
  }
}

}  // namespace lockstep
