#include "core/plan/ring_walk.hpp"

#include "core/base/error.hpp"

namespace lockstep {

RingWalk::RingWalk(const RingSchedule& ring)
    : members_(ring.members),
      reducing_steps_(ring.op == CollectiveOp::AllGather ? 0 : ring.members - 1),
      once_(ring.op == CollectiveOp::Allreduce ? 2 * (ring.members - 1) : ring.members - 1),
      loops_(static_cast<std::int32_t>(ring.loops)) {
  LOCKSTEP_EXPECTS(ring.members > 1 && ring.op != CollectiveOp::Reduce && ring.op != CollectiveOp::Broadcast);
  const std::int64_t shorter = ring.buffer.length / ring.loops;
  const bool alike = shorter * ring.loops == ring.buffer.length;
  for (std::int64_t l = 0; !alike && l < ring.loops; ++l)
    longer_loop_.push_back(part(ring.buffer, l, ring.loops).length > shorter ? 1 : 0);
  for (int longer = 0; longer < (alike ? 1 : 2); ++longer) tables_[longer] = table_of(ring, shorter + longer);
}

RingWalk::Table RingWalk::table_of(const RingSchedule& ring, std::int64_t length) {
  Table table;
  const int channels = ring.orders.channels();
  const std::int64_t shorter = length / ring.members;
  for (int c = 0; c < channels; ++c) {
    // part() of a segment has a length that depends on the segment's length only.
    table.lengths.push_back({part({0, shorter}, c, channels).length, part({0, shorter + 1}, c, channels).length});
    for (int place = 0; place < ring.members; ++place) {
      const Span segment = part({0, length}, ring.orders.member_at(c, place), ring.members);
      table.longer.push_back(segment.length > shorter ? 1 : 0);
    }
  }
  return table;
}

}  // namespace lockstep
