// One lane of a schedule under way on one rank.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/plan/collective.hpp"
#include "real/comm/message_window.hpp"
#include "real/comm/wire.hpp"

namespace lockstep {

/// What the lanes of one phase have in common.
struct PhaseContext {
  const CollectivePlan& plan;
  std::uint32_t sequence = 0;
  std::span<float> buffer;
  WireType wire = WireType::Fp32;
  Transport& transport;
  std::size_t phase = 0;
  Schedule schedule;
  int member = 0;
  /// The schedule's lanes touch different parts of the buffer, so a step may go ahead of the lane's earlier ones wherever
  /// its spans are free of theirs. Where lanes share parts, only messages are asked for ahead of time.
  bool independent = false;
};

/// Executes the steps of one lane in pieces, up to kAhead steps at a time: the later ones receive early, and send and
/// combine a piece as soon as the earlier steps are through with it. So a piece that came in goes out while it is in
/// cache, and every element still sees the schedule's operations in the schedule's order.
class ScheduleLane {
 public:
  /// Goes to the beginning of lane `lane` of a phase, 0 <= lane < context.schedule.lanes(context.member).
  void enter(const PhaseContext& context, int lane);
  /// Does what can be done at once; true if anything moved. `lanes`: those of the phase, for the waits.
  bool advance(const PhaseContext& context, std::span<const ScheduleLane> lanes);
  void cancel(Transport& transport);

  std::int64_t complete() const { return complete_; }  ///< steps
  std::int64_t steps() const { return total_; }
  bool finished() const { return complete_ == total_; }
  bool heard() const { return heard_; }  ///< a message has arrived

  /// The group member for whose message, or else for whose taking one, the oldest open step waits; -1 if for neither.
  int waits_for(const PhaseContext& context) const;

 private:
  static constexpr std::int64_t kAhead = 8;
  struct Step {
    ScheduleStep now;
    MessageWindow out, in;
  };
  Step& at(std::int64_t step) { return open_[static_cast<std::size_t>(step % kAhead)]; }
  const Step& at(std::int64_t step) const { return open_[static_cast<std::size_t>(step % kAhead)]; }
  bool begin(const PhaseContext& context, std::span<const ScheduleLane> lanes);
  bool send(const PhaseContext& context, std::int64_t step);
  bool receive(const PhaseContext& context, std::int64_t step);
  std::int64_t reach(const PhaseContext& context, std::int64_t step, Span wanted, bool overwrites) const;

  int lane_ = 0;
  std::int64_t complete_ = 0, begun_ = 0, total_ = 0;
  bool heard_ = false;
  std::array<Step, kAhead> open_;  ///< steps [complete_, begun_)
};

}  // namespace lockstep
