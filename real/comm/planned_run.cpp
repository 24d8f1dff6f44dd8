#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/comm/collective_run.hpp"

namespace lockstep {

namespace {

constexpr std::int64_t kPiece = 65536;  // elements: 256 KiB in fp32 stay in a core's second-level cache
constexpr std::size_t kWindow = 4;      // pieces of one direction under way at once

/// 30 bits: which collective, phase, lane and step of the receiver. Numbers wrap; messages of equal tags keep their order.
int tag_of(std::uint32_t sequence, std::size_t phase, int lane, std::int64_t step) {
  return static_cast<int>((sequence % 64u) << 24 | static_cast<std::uint32_t>(phase % 8u) << 21 |
                          static_cast<std::uint32_t>(lane % 1024) << 11 | static_cast<std::uint32_t>(step % 2048));
}

std::int64_t pieces_of(std::int64_t length) { return std::max<std::int64_t>(1, (length + kPiece - 1) / kPiece); }

Span piece_of(Span whole, std::int64_t i) {
  return {whole.begin + i * kPiece, std::min(kPiece, whole.length - i * kPiece)};
}

/// A lane of the schedule: its step under way, cut into pieces.
struct LaneRun {
  std::int64_t step = 0, total = 0;
  bool begun = false;
  ScheduleStep now;
  std::int64_t sent = 0, left = 0;        ///< pieces whose send was posted, and is complete
  std::int64_t posted = 0, combined = 0;  ///< pieces whose receive was posted, and is in the buffer
  std::array<Transport::Request, kWindow> sends{}, receives{};
  std::vector<std::byte> out, in;  ///< kWindow pieces each, where the wire needs them
};

class PlannedRun final : public CollectiveRun {
 public:
  PlannedRun(const CollectivePlan& plan, std::uint32_t sequence, std::span<float> buffer, WireType wire,
             Transport& transport)
      : plan_(plan), sequence_(sequence), buffer_(buffer), wire_(wire), transport_(transport), rank_(transport.rank()) {
    LOCKSTEP_EXPECTS(static_cast<std::int64_t>(buffer.size()) == plan.elements && plan.grid.size() == transport.size());
    enter(0);
  }

  Progress advance() override {
    bool moved = false;
    while (phase_ < plan_.phases.size()) {
      bool open = false;
      for (std::size_t l = 0; l < lanes_.size(); ++l) {
        moved = advance(static_cast<int>(l)) || moved;
        open = open || lanes_[l].step < lanes_[l].total;
      }
      if (open) return moved ? Progress::Some : Progress::None;
      enter(phase_ + 1);
      moved = true;
    }
    if (!rounded_) round_to_wire(wire_, buffer_);
    rounded_ = true;
    return Progress::Done;
  }

  Wait waiting() const override {
    Wait wait;
    for (const LaneRun& lane : lanes_) {
      if (lane.step == lane.total || !lane.begun || lane.now.receive_from < 0) continue;
      if (lane.combined == pieces_of(lane.now.receive.length)) continue;
      wait.ranks.push_back(plan_.rank(plan_.phases[phase_], rank_, lane.now.receive_from).value);
      wait.where = fmt::format("phase {} ({}), step {} of {}", phase_ + 1, plan_.phases[phase_].name(), lane.step + 1,
                               lane.total);
    }
    return wait;
  }

 private:
  /// Goes on to the first phase from `phase` in which this rank takes part.
  void enter(std::size_t phase) {
    for (phase_ = phase; phase_ < plan_.phases.size(); ++phase_) {
      const Phase& p = plan_.phases[phase_];
      if (!plan_.takes_part(p, rank_)) continue;
      schedule_.emplace(plan_.schedule(p, rank_));
      member_ = plan_.member(p, rank_);
      lanes_.resize(static_cast<std::size_t>(schedule_->lanes(member_)));
      for (std::size_t l = 0; l < lanes_.size(); ++l) {
        lanes_[l].step = 0;
        lanes_[l].begun = false;
        lanes_[l].total = schedule_->steps(member_, static_cast<int>(l));
      }
      return;
    }
  }

  std::span<float> at(Span s) const {
    return buffer_.subspan(static_cast<std::size_t>(s.begin), static_cast<std::size_t>(s.length));
  }
  std::byte* slot(std::vector<std::byte>& window, std::int64_t piece) const {
    const std::size_t size = static_cast<std::size_t>(kPiece) * wire_bytes(wire_);
    if (window.empty()) window.resize(kWindow * size);
    return window.data() + static_cast<std::size_t>(piece) % kWindow * size;
  }

  bool begin(LaneRun& lane, int l) {
    lane.now = schedule_->step(member_, l, lane.step);
    for (const auto& w : lane.now.waits) {
      if (w.lane >= 0 && lanes_[static_cast<std::size_t>(w.lane)].step < w.steps) return false;
    }
    lane.sent = lane.left = lane.posted = lane.combined = 0;
    lane.begun = true;
    return true;
  }

  bool advance(int l) {
    LaneRun& lane = lanes_[static_cast<std::size_t>(l)];
    bool moved = false;
    while (lane.step < lane.total) {
      if (!lane.begun) {
        if (!begin(lane, l)) return moved;
        moved = true;
      }
      moved = receive(lane, l) || moved;
      moved = send(lane) || moved;
      const bool sent = lane.now.send_to < 0 || lane.left == pieces_of(lane.now.send.length);
      const bool received = lane.now.receive_from < 0 || lane.combined == pieces_of(lane.now.receive.length);
      if (!sent || !received) return moved;
      ++lane.step;
      lane.begun = false;
      moved = true;
    }
    return moved;
  }

  bool send(LaneRun& lane) {
    if (lane.now.send_to < 0) return false;
    bool moved = false;
    const int to = plan_.rank(plan_.phases[phase_], rank_, lane.now.send_to).value;
    const int tag = tag_of(sequence_, phase_, lane.now.send_lane, lane.now.send_step);
    const std::int64_t pieces = pieces_of(lane.now.send.length);
    while (lane.left < lane.sent && transport_.test(lane.sends[static_cast<std::size_t>(lane.left) % kWindow])) {
      ++lane.left;
      moved = true;
    }
    for (; lane.sent < pieces && lane.sent - lane.left < static_cast<std::int64_t>(kWindow); ++lane.sent) {
      const std::span<float> values = at(piece_of(lane.now.send, lane.sent));
      std::span<const std::byte> message = std::as_bytes(values);
      if (wire_ != WireType::Fp32) {
        std::byte* out = slot(lane.out, lane.sent);
        to_wire(wire_, values, out);
        message = {out, values.size() * wire_bytes(wire_)};
      }
      lane.sends[static_cast<std::size_t>(lane.sent) % kWindow] = transport_.send(to, tag, message);
      moved = true;
    }
    return moved;
  }

  bool receive(LaneRun& lane, int l) {
    if (lane.now.receive_from < 0) return false;
    bool moved = false;
    const int from = plan_.rank(plan_.phases[phase_], rank_, lane.now.receive_from).value;
    const int tag = tag_of(sequence_, phase_, l, lane.step);
    const std::int64_t pieces = pieces_of(lane.now.receive.length);
    const bool direct = wire_ == WireType::Fp32 && !lane.now.reduce;
    const auto post = [&] {
      for (; lane.posted < pieces && lane.posted - lane.combined < static_cast<std::int64_t>(kWindow); ++lane.posted) {
        const std::span<float> values = at(piece_of(lane.now.receive, lane.posted));
        const std::span<std::byte> target =
            direct ? std::as_writable_bytes(values)
                   : std::span(slot(lane.in, lane.posted), values.size() * wire_bytes(wire_));
        lane.receives[static_cast<std::size_t>(lane.posted) % kWindow] = transport_.receive(from, tag, target);
        moved = true;
      }
    };
    post();
    while (lane.combined < lane.posted &&
           transport_.test(lane.receives[static_cast<std::size_t>(lane.combined) % kWindow])) {
      const std::span<float> values = at(piece_of(lane.now.receive, lane.combined));
      if (lane.now.reduce) add_from_wire(wire_, slot(lane.in, lane.combined), values);
      if (!lane.now.reduce && !direct) from_wire(wire_, slot(lane.in, lane.combined), values);
      ++lane.combined;
      moved = true;
      post();
    }
    return moved;
  }

  const CollectivePlan& plan_;
  std::uint32_t sequence_;
  std::span<float> buffer_;
  WireType wire_;
  Transport& transport_;
  Rank rank_;
  std::size_t phase_ = 0;
  std::optional<Schedule> schedule_;
  int member_ = 0;
  bool rounded_ = false;
  std::vector<LaneRun> lanes_;
};

}  // namespace

std::unique_ptr<CollectiveRun> run_planned(const CollectivePlan& plan, std::uint32_t sequence, std::span<float> buffer,
                                           WireType wire, Transport& transport) {
  return std::make_unique<PlannedRun>(plan, sequence, buffer, wire, transport);
}

}  // namespace lockstep
