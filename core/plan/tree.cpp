// Double binary tree: who is whose neighbour, and what each lane does with each chunk.
#include <algorithm>
#include <bit>

#include "core/plan/node_tree.hpp"
#include "core/plan/schedule.hpp"

namespace lockstep {

namespace {

/// In a tree whose members are nodes with chains.
struct Neighbours : TreeNeighbours {
  int chain = -1;         ///< child inside the node
  bool is_chain = false;  ///< the chain child of its parent
};

/// Counted from 1, the place i = k b with k odd and b a power of two has the subtree of places between i - b and i + b,
/// as far as there are so many: its left half is perfect, the root of its right half stands behind the largest perfect
/// left subtree that fits. O(1).
TreeNeighbours neighbours(int n, int place) {
  const int i = place + 1, b = i & -i;
  const auto floor_power = [](int x) { return static_cast<int>(std::bit_floor(static_cast<unsigned>(x))); };
  TreeNeighbours at;
  at.is_left = (i & 2 * b) == 0 && i + b <= n;
  const int parent = at.is_left ? i + b : i - b;
  at.parent = parent - 1;
  if (b > 1) at.left = i - b / 2 - 1;
  if (const int right = std::min(b - 1, n - i); right > 0) at.right = i + floor_power(right) - 1;
  return at;
}

/// In tree `tree` of the schedule: heads of nodes form the tree, the others of a node a chain behind the head.
Neighbours neighbours_of(const TreeSchedule& s, int tree, int member) {
  if (s.orders.empty()) return {double_tree(s.members, tree, member)};
  const int g = s.node(), channel = tree / 2, node = member / g, first = node * g;
  const auto chains = [&](int of) -> const RingOrders& { return (of + 1) * g <= s.members ? s.orders : s.last_orders; };
  const int place = chains(node).place_of(channel, member - first);
  Neighbours at;
  if (place == 0) {
    at = {double_tree((s.members + g - 1) / g, tree % 2, node)};
    const auto head = [&](int of) { return of < 0 ? -1 : of * g + chains(of).member_at(channel, 0); };
    at.parent = head(at.parent);
    at.left = head(at.left);
    at.right = head(at.right);
  } else {
    at.parent = first + chains(node).member_at(channel, place - 1);
    at.is_chain = true;
  }
  if (place + 1 < std::min(g, s.members - first)) at.chain = first + chains(node).member_at(channel, place + 1);
  return at;
}

}  // namespace

TreeNeighbours double_tree(int n, int tree, int member) {
  TreeNeighbours at = neighbours(n, (member + tree) % n);
  const auto member_at = [&](int place) { return place < 0 ? -1 : (place - tree + n) % n; };
  at.parent = member_at(at.parent);
  at.left = member_at(at.left);
  at.right = member_at(at.right);
  return at;
}

int TreeSchedule::lanes(int) const { return trees() * lanes_per_tree(); }

std::int64_t TreeSchedule::steps(int member, int lane) const {
  if (members == 1) return 0;
  const int tree = lane / lanes_per_tree();
  const Neighbours at = neighbours_of(*this, tree, member);
  bool active = false;
  switch (lane % lanes_per_tree()) {
    case kReduceLeft:
    case kSendLeft: active = at.left >= 0; break;
    case kReduceRight:
    case kSendRight: active = at.right >= 0; break;
    case kReduceChain:
    case kSendChain: active = at.chain >= 0; break;
    default: active = at.parent >= 0; break;
  }
  return active ? chunk_count(part(buffer, tree, trees()).length, chunk) : 0;
}

ScheduleStep TreeSchedule::step(int member, int lane, std::int64_t index) const {
  const int tree = lane / lanes_per_tree(), first = tree * lanes_per_tree();
  const Neighbours at = neighbours_of(*this, tree, member);
  const Span mine = part(buffer, tree, trees());
  const std::int64_t begin = std::min(index * chunk, mine.length);
  const Span span{mine.begin + begin, std::min(chunk, mine.length - begin)};
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
    if (at.chain >= 0) wait_for(2, kReduceChain);
  };
  switch (lane % lanes_per_tree()) {
    case kReduceLeft: receive(at.left, true); break;
    case kReduceRight:  // always left before right, so that sums do not depend on arrival
      receive(at.right, true);
      if (at.left >= 0) wait_for(0, kReduceLeft);
      break;
    case kReduceChain:
      receive(at.chain, true);
      if (at.left >= 0) wait_for(0, kReduceLeft);
      if (at.right >= 0) wait_for(1, kReduceRight);
      break;
    case kSendUp:
      send(at.parent, at.is_chain ? kReduceChain : at.is_left ? kReduceLeft : kReduceRight);
      wait_for_children();
      break;
    case kReceiveDown:
      receive(at.parent, false);
      wait_for(0, kSendUp);
      break;
    case kSendLeft:
    case kSendRight:
    case kSendChain:
      send(lane == first + kSendLeft ? at.left : lane == first + kSendRight ? at.right : at.chain, kReceiveDown);
      if (at.parent >= 0)
        wait_for(0, kReceiveDown);
      else
        wait_for_children();
      break;
    default: break;
  }
  return s;
}

}  // namespace lockstep
