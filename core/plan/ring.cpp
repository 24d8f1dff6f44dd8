// Ring and chain: steps of one member, from its place on each channel.
#include <algorithm>

#include "core/plan/schedule.hpp"

namespace lockstep {

namespace {

bool is_chain(const RingSchedule& r) { return r.op == CollectiveOp::Reduce || r.op == CollectiveOp::Broadcast; }

/// Hops from member 0 to this member along a channel, 0 .. n - 1.
int behind_root(const RingSchedule& r, int channel, int member) {
  const int distance = r.orders.place_of(channel, member) - r.orders.place_of(channel, 0);
  return distance < 0 ? distance + r.members : distance;
}

/// Reduce flows 1 -> 2 -> ... -> n - 1 -> 0, Broadcast 0 -> 1 -> ... -> n - 1 (places behind member 0).
int head(const RingSchedule& r) { return r.op == CollectiveOp::Reduce ? 1 : 0; }
int tail(const RingSchedule& r) { return r.op == CollectiveOp::Reduce ? 0 : r.members - 1; }

ScheduleStep chain_step(const RingSchedule& r, int member, int lane, std::int64_t index) {
  const int channel = lane / 2;
  const int at = r.orders.place_of(channel, member);
  const Span mine = part(r.buffer, channel, r.orders.channels());
  const std::int64_t begin = std::min(index * r.chunk, mine.length);
  const Span span{mine.begin + begin, std::min(r.chunk, mine.length - begin)};
  ScheduleStep s;
  if (lane % 2 == 0) {
    s.receive_from = r.orders.member_at(channel, at == 0 ? r.members - 1 : at - 1);
    s.reduce = r.op == CollectiveOp::Reduce;
    s.receive = span;
    return s;
  }
  s.send_to = r.orders.member_at(channel, at + 1 == r.members ? 0 : at + 1);
  s.send_lane = lane - 1;
  s.send_step = index;
  s.send = span;
  if (behind_root(r, channel, member) != head(r)) s.waits[0] = {lane - 1, index + 1};
  return s;
}

}  // namespace

int RingSchedule::lanes(int) const { return orders.channels() * (is_chain(*this) ? 2 : 1); }

std::int64_t RingSchedule::steps(int member, int lane) const {
  if (members == 1) return 0;
  if (!is_chain(*this)) return op == CollectiveOp::Allreduce ? loops * 2 * (members - 1) : members - 1;
  const int channel = lane / 2;
  const bool sends = lane % 2 == 1;
  if (behind_root(*this, channel, member) == (sends ? tail(*this) : head(*this))) return 0;
  return chunk_count(part(buffer, channel, orders.channels()).length, chunk);
}

ScheduleStep RingSchedule::step(int member, int lane, std::int64_t index) const {
  if (is_chain(*this)) return chain_step(*this, member, lane, index);
  const int n = members, channels = orders.channels();
  const int at = orders.place_of(lane, member);
  const std::int64_t once = 2 * (std::int64_t{n} - 1);
  const std::int64_t in_loop = loops == 1 ? index : index % once;
  const Span loop = loops == 1 ? buffer : part(buffer, index / once, loops);
  const auto piece = [&](int place) {
    const Span segment = part(loop, orders.member_at(lane, place < 0 ? place + n : place), n);
    return channels == 1 ? segment : part(segment, lane, channels);
  };
  // A segment is reduced along the n - 1 hops that end at its owner, and gathered along the n - 1 hops that begin
  // there.
  const bool reducing = op == CollectiveOp::ReduceScatter || (op == CollectiveOp::Allreduce && in_loop < n - 1);
  const auto hop = static_cast<int>(op == CollectiveOp::Allreduce && !reducing ? in_loop - (n - 1) : in_loop);
  const int sent = reducing ? at - hop - 1 : at - hop;  // place whose segment leaves; > -n
  ScheduleStep s;
  s.send_to = orders.member_at(lane, at + 1 == n ? 0 : at + 1);
  s.send_lane = lane;
  s.send_step = index;
  s.send = piece(sent);
  s.receive_from = orders.member_at(lane, at == 0 ? n - 1 : at - 1);
  s.reduce = reducing;
  s.receive = piece(sent - 1);
  return s;
}

}  // namespace lockstep
