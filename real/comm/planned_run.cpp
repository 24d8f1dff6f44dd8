#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "real/comm/collective_run.hpp"
#include "real/comm/schedule_lane.hpp"

namespace lockstep {

namespace {

/// Rings that keep to their channel, and halving-doubling, which has one lane. Trees and chains share spans among lanes,
/// and order them by waits and by what other ranks do.
bool independent_lanes(const Phase& phase) {
  if (phase.algorithm == PhaseAlgorithm::HalvingDoubling) return true;
  return phase.algorithm == PhaseAlgorithm::Ring && phase.op != CollectiveOp::Reduce &&
         phase.op != CollectiveOp::Broadcast;
}

class PlannedRun final : public CollectiveRun {
 public:
  PlannedRun(const CollectivePlan& plan, std::uint32_t sequence, std::span<float> buffer, WireType wire,
             Transport& transport)
      : plan_(plan), sequence_(sequence), buffer_(buffer), wire_(wire), transport_(transport) {
    LOCKSTEP_EXPECTS(static_cast<std::int64_t>(buffer.size()) == plan.elements && plan.grid.size() == transport.size());
    enter(0);
  }
  ~PlannedRun() override {
    for (ScheduleLane& lane : lanes_) lane.cancel(transport_);
  }

  Progress advance() override {
    bool moved = false;
    while (now_) {
      bool open = false;
      for (ScheduleLane& lane : lanes_) {
        moved = lane.advance(*now_, lanes_) || moved;
        open = open || !lane.finished();
      }
      if (open) return moved ? Progress::Some : Progress::None;
      enter(now_->phase + 1);
      moved = true;
    }
    if (!rounded_) round_to_wire(wire_, buffer_);
    rounded_ = true;
    return Progress::Done;
  }

  bool heard() const override {
    return heard_ || std::any_of(lanes_.begin(), lanes_.end(), [](const ScheduleLane& lane) { return lane.heard(); });
  }

  Wait waiting() const override {
    Wait wait;
    if (!now_) return wait;
    for (const ScheduleLane& lane : lanes_) {
      const int rank = lane.finished() ? -1 : lane.waits_for(*now_);
      if (rank < 0 || std::find(wait.ranks.begin(), wait.ranks.end(), rank) != wait.ranks.end()) continue;
      wait.ranks.push_back(rank);
      wait.where = fmt::format("phase {} ({}), step {} of {}", now_->phase + 1, plan_.phases[now_->phase].name(),
                               lane.complete() + 1, lane.steps());
    }
    return wait;
  }

 private:
  /// Goes on to the first phase from `phase` in which this rank takes part.
  void enter(std::size_t phase) {
    heard_ = heard();
    now_.reset();
    const Rank rank(transport_.rank());
    for (; phase < plan_.phases.size() && !now_; ++phase) {
      const Phase& p = plan_.phases[phase];
      if (!plan_.takes_part(p, rank)) continue;
      now_.emplace(PhaseContext{plan_, sequence_, buffer_, wire_, transport_, phase, plan_.schedule(p, rank),
                                plan_.member(p, rank), independent_lanes(p)});
    }
    if (!now_) return;
    lanes_.resize(static_cast<std::size_t>(now_->schedule.lanes(now_->member)));
    for (std::size_t l = 0; l < lanes_.size(); ++l) lanes_[l].enter(*now_, static_cast<int>(l));
  }

  const CollectivePlan& plan_;
  std::uint32_t sequence_;
  std::span<float> buffer_;
  WireType wire_;
  Transport& transport_;
  std::optional<PhaseContext> now_;  ///< empty once all phases are through
  std::vector<ScheduleLane> lanes_;
  bool heard_ = false, rounded_ = false;
};

}  // namespace

std::unique_ptr<CollectiveRun> run_planned(const CollectivePlan& plan, std::uint32_t sequence, std::span<float> buffer,
                                           WireType wire, Transport& transport) {
  return std::make_unique<PlannedRun>(plan, sequence, buffer, wire, transport);
}

}  // namespace lockstep
