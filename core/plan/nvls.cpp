// Allreduce through switches that add and copy: what each lane does with each chunk.
#include <algorithm>

#include "core/base/error.hpp"
#include "core/plan/node_tree.hpp"
#include "core/plan/schedule.hpp"

namespace lockstep {

namespace {

/// A lane of one member, and what it has to do with.
struct Place {
  int head = 0;   // local: of the part
  int lane = 0;   // NvlsLane, or kCopies + i
  int first = 0;  // lane of the part
  int member = 0, local = 0, node = 0;
  Span part;
  TreeNeighbours tree;  // of the head's node, in nodes

  bool is_head() const { return local == head; }
};

Place place_of(const NvlsSchedule& s, int member, int lane) {
  const int index = lane / s.lanes_per_part();
  Place at;
  at.head = index / s.trees();
  at.first = index * s.lanes_per_part();
  at.lane = lane - at.first;
  at.member = member;
  at.local = member % s.node;
  at.node = member / s.node;
  at.part = part(s.buffer, index, s.parts());
  if (s.nodes() > 1) at.tree = double_tree(s.nodes(), index % s.trees(), at.node);
  return at;
}

}  // namespace

std::int64_t NvlsSchedule::steps(int member, int lane) const {
  if (members == 1) return 0;
  const Place at = place_of(*this, member, lane);
  const std::int64_t chunks = chunk_count(at.part.length, chunk);
  const auto only = [&](bool active) { return active ? chunks : 0; };
  switch (at.lane) {
    case kGive:
    case kTake: return only(!at.is_head());
    case kGather: return at.is_head() ? chunks * (node - 1) : 0;
    case kReduceLeft:
    case kSendLeft: return only(at.is_head() && at.tree.left >= 0);
    case kReduceRight:
    case kSendRight: return only(at.is_head() && at.tree.right >= 0);
    case kSendUp:
    case kReceiveDown: return only(at.is_head() && at.tree.parent >= 0);
    default: return only(at.is_head());
  }
}

ScheduleStep NvlsSchedule::step(int member, int lane, std::int64_t index) const {
  const Place at = place_of(*this, member, lane);
  const int others = node - 1;
  const std::int64_t k = at.lane == kGather ? index / others : index;
  const std::int64_t begin = std::min(k * chunk, at.part.length);
  const Span span{at.part.begin + begin, std::min(chunk, at.part.length - begin)};
  // The members of a node but the head, from the one behind it: the first of them carries the sum and the copies.
  const auto behind = [&](int i) { return at.node * node + (at.head + 1 + i) % node; };
  const int mine = (at.local - at.head - 1 + node) % node;  // place among them
  const int head = at.node * node + at.head;
  const auto head_of = [&](int other) { return other * node + at.head; };

  ScheduleStep s;
  const auto receive = [&](int from, bool reduce) {
    s.receive_from = from;
    s.receive = span;
    s.reduce = reduce;
  };
  const auto send = [&](int to, int to_lane, std::int64_t to_step, SwitchRole role = SwitchRole::None) {
    s.send_to = to;
    s.send_lane = at.first + to_lane;
    s.send_step = to_step;
    s.send = span;
    s.role = role;
  };
  const auto wait_for = [&](std::size_t slot, int other, std::int64_t steps) {
    s.waits[slot] = {at.first + other, steps};
  };
  const auto wait_for_sums = [&] {
    wait_for(0, kGather, (k + 1) * others);
    if (at.tree.left >= 0) wait_for(1, kReduceLeft, k + 1);
    if (at.tree.right >= 0) wait_for(2, kReduceRight, k + 1);
  };
  switch (at.lane) {
    case kGive: send(head, kGather, k * others + mine, mine == 0 ? SwitchRole::CarriesSum : SwitchRole::Joins); break;
    case kGather: receive(behind(static_cast<int>(index % others)), true); break;
    case kReduceLeft:  // the node first, then left, then right: sums do not depend on arrival
      receive(head_of(at.tree.left), true);
      wait_for(0, kGather, (k + 1) * others);
      break;
    case kReduceRight:
      receive(head_of(at.tree.right), true);
      wait_for(0, kGather, (k + 1) * others);
      if (at.tree.left >= 0) wait_for(1, kReduceLeft, k + 1);
      break;
    case kSendUp:
      send(head_of(at.tree.parent), at.tree.is_left ? kReduceLeft : kReduceRight, k);
      wait_for_sums();
      break;
    case kReceiveDown:
      receive(head_of(at.tree.parent), false);
      wait_for(0, kSendUp, k + 1);
      break;
    case kTake:
      receive(head, false);
      wait_for(0, kGive, k + 1);
      break;
    default: {
      const int copy = at.lane - kCopies;
      if (at.lane == kSendLeft)
        send(head_of(at.tree.left), kReceiveDown, k);
      else if (at.lane == kSendRight)
        send(head_of(at.tree.right), kReceiveDown, k);
      else
        send(behind(copy), kTake, k, copy == 0 ? SwitchRole::CarriesCopies : SwitchRole::Copy);
      if (at.tree.parent >= 0)
        wait_for(0, kReceiveDown, k + 1);
      else
        wait_for_sums();
    }
  }
  return s;
}

Schedule nvls_schedule(Span buffer, int members, int node, std::int64_t chunk) {
  LOCKSTEP_EXPECTS(members >= 1 && node >= 1 && members % node == 0 && (node > 1 || members == 1));
  LOCKSTEP_EXPECTS(buffer.length >= 0 && chunk >= 1);
  return Schedule(NvlsSchedule{buffer, members, node, chunk});
}

}  // namespace lockstep
