// Recursive halving and doubling over binary blocks.
#include <bit>

#include "core/base/error.hpp"
#include "core/plan/schedule.hpp"

namespace lockstep {

namespace {

/// The power-of-two block of a member: members [first, first + size); `larger` and `smaller` are its neighbours' sizes
/// (0 = none).
struct Block {
  int first = 0, size = 1, larger = 0, smaller = 0;
};

Block block_of(int members, int member) {
  Block b;
  int first = 0;
  for (int size = static_cast<int>(std::bit_floor(static_cast<unsigned>(members))); size > 0; size >>= 1) {
    if (!(members & size)) continue;
    if (member < first + size) {
      b.first = first;
      b.size = size;
      const unsigned rest = static_cast<unsigned>(members) & (static_cast<unsigned>(size) - 1);
      b.smaller = static_cast<int>(std::bit_floor(rest));
      return b;
    }
    first += size;
    b.larger = size;
  }
  throw InternalError("member outside its group");
}

int log2_of(int power) { return std::countr_zero(static_cast<unsigned>(power)); }

}  // namespace

std::int64_t HalvingDoublingSchedule::steps(int member, int) const {
  const Block b = block_of(members, member);
  const int out = b.larger ? b.larger / b.size : 0;
  return 2 * log2_of(b.size) + 2 * out + 2 * (b.smaller ? 1 : 0);
}

ScheduleStep HalvingDoublingSchedule::step(int member, int, std::int64_t index) const {
  const Block b = block_of(members, member);
  const int levels = log2_of(b.size);
  const int me = member - b.first;
  const int fan = b.larger ? b.larger / b.size : 0;  // members of the larger block that share my part
  const int feed = b.smaller ? 1 : 0;
  const auto parts = [&](std::int64_t from, std::int64_t count) {
    const std::int64_t begin = part(buffer, from, b.size).begin;
    const Span last = part(buffer, from + count - 1, b.size);
    return Span{begin, last.begin + last.length - begin};
  };
  const std::int64_t total = steps(member, 0);
  ScheduleStep s;

  if (index < levels || index >= total - levels) {  // inside the block
    const bool halving = index < levels;
    const auto level = static_cast<int>(halving ? index : total - 1 - index);
    const int group = b.size >> level, half = group >> 1;
    const int base = me & ~(group - 1);
    const std::int64_t own = (me & half) ? base + half : base;
    const std::int64_t other = (me & half) ? base : base + half;
    const int partner = b.first + (me ^ half);
    s.send_to = s.receive_from = partner;
    s.send_step = index;
    s.send = halving ? parts(other, half) : parts(own, half);
    s.receive = halving ? parts(own, half) : parts(other, half);
    s.reduce = halving;
    return s;
  }
  std::int64_t i = index - levels;
  const int larger_first = b.first - b.larger;
  const int smaller_first = b.first + b.size;
  const int ratio = b.smaller ? b.size / b.smaller : 1;
  if (feed && i == 0) {  // the smaller block's sum of my part
    s.receive_from = smaller_first + me / ratio;
    s.receive = parts(me, 1);
    s.reduce = true;
    return s;
  }
  i -= feed;
  if (i < 2 * fan) {  // my part, split among the larger block's members, and back
    const auto k = static_cast<int>(i % fan);
    const int peer = me * fan + k;
    const Span span = part(buffer, peer, b.larger);
    if (i < fan) {
      s.send_to = larger_first + peer;
      s.send_step = log2_of(b.larger);
      s.send = span;
    } else {
      s.receive_from = larger_first + peer;
      s.receive = span;
    }
    return s;
  }
  // The total of my part goes to the smaller block.
  const int small = me / ratio;
  const Block sb = block_of(members, smaller_first + small);
  s.send_to = smaller_first + small;
  s.send_step = log2_of(sb.size) + (sb.smaller ? 1 : 0) + ratio + me % ratio;
  s.send = parts(me, 1);
  return s;
}

}  // namespace lockstep
