#include "core/plan/schedule.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/base/error.hpp"

namespace lockstep {

Span part(Span whole, std::int64_t i, std::int64_t n) {
  // 128-bit products: a buffer of 2^40 elements over 2^24 parts must not overflow.
  const auto at = [&](std::int64_t k) { return static_cast<std::int64_t>(static_cast<__int128>(whole.length) * k / n); };
  return {whole.begin + at(i), at(i + 1) - at(i)};
}

namespace {

std::int64_t chunks_of(std::int64_t length, std::int64_t chunk) { return length <= 0 ? 1 : (length + chunk - 1) / chunk; }

Span chunk_of(Span whole, std::int64_t chunk, std::int64_t k) {
  const std::int64_t begin = std::min(k * chunk, whole.length);
  return {whole.begin + begin, std::min(chunk, whole.length - begin)};
}

// ---------------------------------------------------------------- ring

int size(const RingSchedule& r) { return static_cast<int>(r.orders.front().size()); }
bool is_chain(const RingSchedule& r) { return r.op == CollectiveOp::Reduce || r.op == CollectiveOp::Broadcast; }

int lanes(const RingSchedule& r, int) { return static_cast<int>(r.orders.size()) * (is_chain(r) ? 2 : 1); }

/// Place of a member behind member 0 along a channel, 0 .. n - 1.
int behind_root(const RingSchedule& r, std::size_t channel, int member) {
  const int n = size(r);
  return (r.position[channel][static_cast<std::size_t>(member)] - r.position[channel][0] + n) % n;
}

/// A chain has two lanes per channel: even ones receive, odd ones send.
std::int64_t steps(const RingSchedule& r, int member, int lane) {
  const int n = size(r);
  if (n == 1) return 0;
  if (!is_chain(r)) return r.op == CollectiveOp::Allreduce ? 2 * (n - 1) : n - 1;
  const auto channel = static_cast<std::size_t>(lane / 2);
  const int place = behind_root(r, channel, member);
  const bool sends = lane % 2 == 1;
  const bool reduce = r.op == CollectiveOp::Reduce;
  // Reduce flows 1 -> 2 -> ... -> n - 1 -> 0, Broadcast 0 -> 1 -> ... -> n - 1.
  const bool active = reduce ? (sends ? place != 0 : place != 1) : (sends ? place != n - 1 : place != 0);
  const Span mine = part(r.buffer, static_cast<std::int64_t>(channel), static_cast<std::int64_t>(r.orders.size()));
  return active ? chunks_of(mine.length, r.chunk) : 0;
}

ScheduleStep chain_step(const RingSchedule& r, int member, int lane, std::int64_t step) {
  const int n = size(r);
  const auto channel = static_cast<std::size_t>(lane / 2);
  const auto& order = r.orders[channel];
  const int at = r.position[channel][static_cast<std::size_t>(member)];
  const Span mine = part(r.buffer, static_cast<std::int64_t>(channel), static_cast<std::int64_t>(r.orders.size()));
  const Span span = chunk_of(mine, r.chunk, step);
  ScheduleStep s;
  if (lane % 2 == 0) {
    s.receive_from = order[static_cast<std::size_t>((at - 1 + n) % n)];
    s.reduce = r.op == CollectiveOp::Reduce;
    s.receive = span;
  } else {
    s.send_to = order[static_cast<std::size_t>((at + 1) % n)];
    s.send_lane = lane - 1;
    s.send_step = step;
    s.send = span;
    const int head = r.op == CollectiveOp::Reduce ? 1 : 0;
    if (behind_root(r, channel, member) != head) s.waits[0] = {lane - 1, step + 1};
  }
  return s;
}

ScheduleStep step(const RingSchedule& r, int member, int lane, std::int64_t index) {
  if (is_chain(r)) return chain_step(r, member, lane, index);
  const int n = size(r);
  const auto channel = static_cast<std::size_t>(lane);
  const auto& order = r.orders[channel];
  const int at = r.position[channel][static_cast<std::size_t>(member)];
  const auto owner = [&](std::int64_t place) { return order[static_cast<std::size_t>((place % n + n) % n)]; };
  const auto piece = [&](std::int64_t place) {
    return part(part(r.buffer, owner(place), n), lane, static_cast<std::int64_t>(r.orders.size()));
  };
  const bool reducing = r.op == CollectiveOp::ReduceScatter || (r.op == CollectiveOp::Allreduce && index < n - 1);
  // A segment reduces along the n - 1 hops that end at its owner, and is gathered along the n - 1 hops that begin there.
  const std::int64_t hop = r.op == CollectiveOp::Allreduce && !reducing ? index - (n - 1) : index;
  const std::int64_t sent = reducing ? at - hop - 1 : at - hop;
  ScheduleStep s;
  s.send_to = owner(at + 1);
  s.send_lane = lane;
  s.send_step = index;
  s.send = piece(sent);
  s.receive_from = owner(at - 1);
  s.reduce = reducing;
  s.receive = piece(sent - 1);
  return s;
}

// ---------------------------------------------------------------- halving-doubling with binary blocks

/// The power-of-two block of a member: members [first, first + size); `larger` and `smaller` are its neighbours' sizes (0 = none).
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

int size(const HalvingDoublingSchedule& h) { return h.members; }
int lanes(const HalvingDoublingSchedule&, int) { return 1; }

std::int64_t steps(const HalvingDoublingSchedule& h, int member, int) {
  const Block b = block_of(h.members, member);
  const int out = b.larger ? b.larger / b.size : 0;
  return 2 * log2_of(b.size) + 2 * out + 2 * (b.smaller ? 1 : 0);
}

ScheduleStep step(const HalvingDoublingSchedule& h, int member, int, std::int64_t index) {
  const Block b = block_of(h.members, member);
  const int levels = log2_of(b.size);
  const int me = member - b.first;
  const int fan = b.larger ? b.larger / b.size : 0;    // members of the larger block that share my part
  const int feed = b.smaller ? 1 : 0;
  const auto parts = [&](std::int64_t from, std::int64_t count) {
    const std::int64_t begin = part(h.buffer, from, b.size).begin;
    const Span last = part(h.buffer, from + count - 1, b.size);
    return Span{begin, last.begin + last.length - begin};
  };
  const std::int64_t total = steps(h, member, 0);
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
    const Span span = part(h.buffer, peer, b.larger);
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
  const Block sb = block_of(h.members, smaller_first + small);
  s.send_to = smaller_first + small;
  s.send_step = log2_of(sb.size) + (sb.smaller ? 1 : 0) + ratio + me % ratio;
  s.send = parts(me, 1);
  return s;
}

// ---------------------------------------------------------------- double binary tree

/// Neighbours in an in-order binary tree over places 0 .. n - 1 whose even places are leaves.
struct Neighbours {
  int parent = -1, left = -1, right = -1;
};

/// The root of a subtree over s places stands behind the largest perfect left subtree.
int root_of(int s) { return static_cast<int>(std::bit_floor(static_cast<unsigned>(s))) - 1; }

Neighbours neighbours(int n, int place) {
  Neighbours result;
  int first = 0, length = n;
  while (true) {
    const int root = first + root_of(length);
    const int left = root - first, right = first + length - root - 1;
    if (place == root) {
      if (left > 0) result.left = first + root_of(left);
      if (right > 0) result.right = root + 1 + root_of(right);
      return result;
    }
    result.parent = root;
    if (place < root) {
      length = left;
    } else {
      first = root + 1;
      length = right;
    }
  }
}

/// The second tree is the first shifted by one place: who is inside one is a leaf of the other.
Neighbours tree_neighbours(const TreeSchedule& t, int tree, int member) {
  const int n = t.members;
  Neighbours at = neighbours(n, (member + tree) % n);
  const auto member_at = [&](int place) { return place < 0 ? -1 : (place - tree + n) % n; };
  return {member_at(at.parent), member_at(at.left), member_at(at.right)};
}

enum TreeLane { kReduceLeft, kReduceRight, kSendUp, kReceiveDown, kSendLeft, kSendRight, kTreeLanes };

int size(const TreeSchedule& t) { return t.members; }
int lanes(const TreeSchedule&, int) { return 2 * kTreeLanes; }

std::int64_t steps(const TreeSchedule& t, int member, int lane) {
  if (t.members == 1) return 0;
  const int tree = lane / kTreeLanes;
  const Neighbours at = tree_neighbours(t, tree, member);
  bool active = false;
  switch (lane % kTreeLanes) {
    case kReduceLeft:
    case kSendLeft: active = at.left >= 0; break;
    case kReduceRight:
    case kSendRight: active = at.right >= 0; break;
    default: active = at.parent >= 0; break;
  }
  return active ? chunks_of(part(t.buffer, tree, 2).length, t.chunk) : 0;
}

ScheduleStep step(const TreeSchedule& t, int member, int lane, std::int64_t index) {
  const int tree = lane / kTreeLanes, first = tree * kTreeLanes;
  const Neighbours at = tree_neighbours(t, tree, member);
  const Span span = chunk_of(part(t.buffer, tree, 2), t.chunk, index);
  ScheduleStep s;
  const auto receive = [&](int from, bool reduce) {
    s.receive_from = from;
    s.receive = span;
    s.reduce = reduce;
  };
  const auto send = [&](int to, int to_lane) {
    s.send_to = to;
    s.send_lane = first + to_lane;
    s.send_step = index;
    s.send = span;
  };
  const auto wait_for = [&](std::size_t slot, TreeLane other) { s.waits[slot] = {first + other, index + 1}; };
  const auto wait_for_children = [&] {
    if (at.left >= 0) wait_for(0, kReduceLeft);
    if (at.right >= 0) wait_for(1, kReduceRight);
  };
  switch (lane % kTreeLanes) {
    case kReduceLeft: receive(at.left, true); break;
    case kReduceRight:  // always left before right, so that sums do not depend on arrival
      receive(at.right, true);
      if (at.left >= 0) wait_for(0, kReduceLeft);
      break;
    case kSendUp: {
      const bool left_child = tree_neighbours(t, tree, at.parent).left == member;
      send(at.parent, left_child ? kReduceLeft : kReduceRight);
      wait_for_children();
      break;
    }
    case kReceiveDown:
      receive(at.parent, false);
      wait_for(0, kSendUp);
      break;
    case kSendLeft:
    case kSendRight:
      send(lane % kTreeLanes == kSendLeft ? at.left : at.right, kReceiveDown);
      if (at.parent >= 0) wait_for(0, kReceiveDown);
      else wait_for_children();
      break;
    default: break;
  }
  return s;
}

}  // namespace

int Schedule::members() const {
  return std::visit([](const auto& s) { return size(s); }, v_);
}
int Schedule::lanes(int member) const {
  return std::visit([&](const auto& s) { return lockstep::lanes(s, member); }, v_);
}
std::int64_t Schedule::steps(int member, int lane) const {
  return std::visit([&](const auto& s) { return lockstep::steps(s, member, lane); }, v_);
}
ScheduleStep Schedule::step(int member, int lane, std::int64_t index) const {
  return std::visit([&](const auto& s) { return lockstep::step(s, member, lane, index); }, v_);
}

Schedule ring_schedule(CollectiveOp op, Span buffer, int members, std::vector<std::vector<int>> orders, std::int64_t chunk) {
  LOCKSTEP_EXPECTS(members >= 1 && buffer.length >= 0);
  RingSchedule r;
  r.op = op;
  r.buffer = buffer;
  r.chunk = chunk > 0 ? chunk : std::max<std::int64_t>(1, buffer.length);
  if (orders.empty()) {
    orders.emplace_back(static_cast<std::size_t>(members));
    std::iota(orders.front().begin(), orders.front().end(), 0);
  }
  for (const auto& order : orders) {
    LOCKSTEP_EXPECTS(static_cast<int>(order.size()) == members);
    std::vector<int> position(order.size(), -1);
    for (std::size_t i = 0; i < order.size(); ++i) position[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
    LOCKSTEP_EXPECTS(std::find(position.begin(), position.end(), -1) == position.end());
    r.position.push_back(std::move(position));
  }
  r.orders = std::move(orders);
  return Schedule(std::move(r));
}

Schedule halving_doubling_schedule(Span buffer, int members) {
  LOCKSTEP_EXPECTS(members >= 1 && buffer.length >= 0);
  return Schedule(HalvingDoublingSchedule{buffer, members});
}

Schedule tree_schedule(Span buffer, int members, std::int64_t chunk) {
  LOCKSTEP_EXPECTS(members >= 1 && buffer.length >= 0 && chunk >= 1);
  return Schedule(TreeSchedule{buffer, members, chunk});
}

}  // namespace lockstep
