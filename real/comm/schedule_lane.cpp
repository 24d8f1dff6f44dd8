#include "real/comm/schedule_lane.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// 30 bits: which collective, phase, lane and step of the receiver. Numbers wrap; messages of equal tags keep their order.
int tag_of(std::uint32_t sequence, std::size_t phase, int lane, std::int64_t step) {
  return static_cast<int>((sequence % 64u) << 24 | static_cast<std::uint32_t>(phase % 8u) << 21 |
                          static_cast<std::uint32_t>(lane % 1024) << 11 | static_cast<std::uint32_t>(step % 2048));
}

std::span<float> values_of(const PhaseContext& c, Span s) {
  return c.buffer.subspan(static_cast<std::size_t>(s.begin), static_cast<std::size_t>(s.length));
}

int rank_of(const PhaseContext& c, int member) {
  return c.plan.rank(c.plan.phases[c.phase], Rank(c.transport.rank()), member).value;
}

/// Elements of a span that its first `pieces` pieces hold.
std::int64_t elements_of(Span whole, std::int64_t pieces) { return std::min(whole.length, pieces * kPieceElements); }

/// How many elements at the front of `wanted` lie before what `busy` has behind its first `done` elements.
std::int64_t before(Span wanted, Span busy, std::int64_t done) {
  const std::int64_t begin = busy.begin + done, end = busy.begin + busy.length;
  if (begin >= end || end <= wanted.begin || wanted.begin + wanted.length <= begin) return wanted.length;
  return std::max<std::int64_t>(0, begin - wanted.begin);
}

}  // namespace

void ScheduleLane::enter(const PhaseContext& c, int lane) {
  lane_ = lane;
  complete_ = begun_ = 0;
  total_ = c.schedule.steps(c.member, lane);
}

bool ScheduleLane::begin(const PhaseContext& c, std::span<const ScheduleLane> lanes) {
  Step& s = at(begun_);
  s.now = c.schedule.step(c.member, lane_, begun_);
  for (const auto& w : s.now.waits) {
    if (w.lane >= 0 && lanes[static_cast<std::size_t>(w.lane)].complete() < w.steps) return false;
  }
  s.out.reset();
  s.in.reset();
  ++begun_;
  return true;
}

/// How many elements at the front of `wanted` the step may touch now; -1: it may not do anything yet.
std::int64_t ScheduleLane::reach(const PhaseContext& c, std::int64_t step, Span wanted, bool overwrites) const {
  if (step > complete_ && !c.independent) return -1;
  std::int64_t reach = wanted.length;
  for (std::int64_t e = complete_; e < step; ++e) {
    const Step& earlier = at(e);
    if (earlier.now.receive_from >= 0)
      reach = std::min(reach, before(wanted, earlier.now.receive, elements_of(earlier.now.receive, earlier.in.done())));
    if (overwrites && earlier.now.send_to >= 0)
      reach = std::min(reach, before(wanted, earlier.now.send, elements_of(earlier.now.send, earlier.out.done())));
  }
  return reach;
}

bool ScheduleLane::send(const PhaseContext& c, std::int64_t step) {
  Step& s = at(step);
  if (s.now.send_to < 0) return false;
  bool moved = false;
  for (; !s.out.empty() && s.out.ready(c.transport); moved = true) s.out.pop(c.transport);
  const std::int64_t pieces = pieces_of(s.now.send.length);
  if (s.out.posted() == pieces || s.out.full()) return moved;
  const std::int64_t free = reach(c, step, s.now.send, false);
  const int to = rank_of(c, s.now.send_to);
  const int tag = tag_of(c.sequence, c.phase, s.now.send_lane, s.now.send_step);
  for (; s.out.posted() < pieces && !s.out.full(); moved = true) {
    if (elements_of(s.now.send, s.out.posted() + 1) > free) break;
    const std::span<const float> values = values_of(c, piece_of(s.now.send, s.out.posted()));
    if (c.wire == WireType::Fp32) {
      s.out.post(c.transport.send(to, tag, std::as_bytes(values)));
      continue;
    }
    std::byte* block = c.transport.scratch().take();
    to_wire(c.wire, values, block);
    s.out.post(c.transport.send(to, tag, {block, values.size() * wire_bytes(c.wire)}), block);
  }
  return moved;
}

bool ScheduleLane::receive(const PhaseContext& c, std::int64_t step) {
  Step& s = at(step);
  if (s.now.receive_from < 0) return false;
  const std::int64_t pieces = pieces_of(s.now.receive.length);
  if (s.in.done() == pieces) return false;
  const std::int64_t free = reach(c, step, s.now.receive, true);
  const int from = rank_of(c, s.now.receive_from), tag = tag_of(c.sequence, c.phase, lane_, step);
  const bool direct = c.wire == WireType::Fp32 && !s.now.reduce;
  bool moved = false;
  const auto post = [&] {
    for (; s.in.posted() < pieces && !s.in.full(); moved = true) {
      if (direct && elements_of(s.now.receive, s.in.posted() + 1) > free) break;
      const std::span<float> values = values_of(c, piece_of(s.now.receive, s.in.posted()));
      std::byte* block = direct ? nullptr : c.transport.scratch().take();
      const std::span<std::byte> target =
          direct ? std::as_writable_bytes(values) : std::span(block, values.size() * wire_bytes(c.wire));
      s.in.post(c.transport.receive(from, tag, target), block);
    }
  };
  post();
  while (!s.in.empty() && elements_of(s.now.receive, s.in.done() + 1) <= free && s.in.ready(c.transport)) {
    const std::span<float> values = values_of(c, piece_of(s.now.receive, s.in.done()));
    if (s.now.reduce) add_from_wire(c.wire, s.in.block(), values);
    if (!s.now.reduce && !direct) from_wire(c.wire, s.in.block(), values);
    s.in.pop(c.transport);
    heard_ = moved = true;
    post();
  }
  return moved;
}

bool ScheduleLane::advance(const PhaseContext& c, std::span<const ScheduleLane> lanes) {
  bool moved = false;
  while (true) {
    while (begun_ < total_ && begun_ - complete_ < kAhead && begin(c, lanes)) moved = true;
    for (std::int64_t step = complete_; step < begun_; ++step) {
      moved = receive(c, step) || moved;
      moved = send(c, step) || moved;
    }
    const std::int64_t before_this = complete_;
    for (; complete_ < begun_; ++complete_) {
      const Step& s = at(complete_);
      if (s.now.send_to >= 0 && s.out.done() < pieces_of(s.now.send.length)) break;
      if (s.now.receive_from >= 0 && s.in.done() < pieces_of(s.now.receive.length)) break;
    }
    if (complete_ == before_this || complete_ == total_) return moved;
    moved = true;
  }
}

void ScheduleLane::cancel(Transport& transport) {
  for (; complete_ < begun_; ++complete_) {
    at(complete_).out.cancel(transport);
    at(complete_).in.cancel(transport);
  }
}

int ScheduleLane::waits_for(const PhaseContext& c) const {
  if (complete_ == begun_) return -1;
  const Step& s = at(complete_);
  const bool received = s.now.receive_from < 0 || s.in.done() == pieces_of(s.now.receive.length);
  return rank_of(c, received ? s.now.send_to : s.now.receive_from);
}

}  // namespace lockstep
