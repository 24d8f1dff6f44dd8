// Double binary tree: who is whose neighbour, and what each lane does with each chunk.
#include <algorithm>
#include <bit>

#include "core/plan/schedule.hpp"

namespace lockstep {

namespace {

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
Neighbours tree_neighbours(int n, int tree, int member) {
  Neighbours at = neighbours(n, (member + tree) % n);
  const auto member_at = [&](int place) { return place < 0 ? -1 : (place - tree + n) % n; };
  return {member_at(at.parent), member_at(at.left), member_at(at.right)};
}

}  // namespace

int TreeSchedule::lanes(int) const { return 2 * kTreeLanes; }

std::int64_t TreeSchedule::steps(int member, int lane) const {
  if (members == 1) return 0;
  const int tree = lane / kTreeLanes;
  const Neighbours at = tree_neighbours(members, tree, member);
  bool active = false;
  switch (lane % kTreeLanes) {
    case kReduceLeft:
    case kSendLeft: active = at.left >= 0; break;
    case kReduceRight:
    case kSendRight: active = at.right >= 0; break;
    default: active = at.parent >= 0; break;
  }
  return active ? chunk_count(part(buffer, tree, 2).length, chunk) : 0;
}

ScheduleStep TreeSchedule::step(int member, int lane, std::int64_t index) const {
  const int tree = lane / kTreeLanes, first = tree * kTreeLanes;
  const Neighbours at = tree_neighbours(members, tree, member);
  const Span half = part(buffer, tree, 2);
  const std::int64_t begin = std::min(index * chunk, half.length);
  const Span span{half.begin + begin, std::min(chunk, half.length - begin)};
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
      const bool left_child = tree_neighbours(members, tree, at.parent).left == member;
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
