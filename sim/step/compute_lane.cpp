#include "sim/step/compute_lane.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"

namespace lockstep::sim {

void LaneWork::add(Time length, bool memory_bound) {
  LOCKSTEP_EXPECTS(length >= Time::zero());
  if (stretches_.empty()) {
    stretches_.push_back({Time::zero(), length, Time::zero(), memory_bound});
    return;
  }
  Stretch& last = stretches_.back();
  if (last.memory_bound == memory_bound) {
    last.end += length;
  } else {
    const Time memory = last.memory_before + (last.memory_bound ? last.end - last.begin : Time::zero());
    stretches_.push_back({last.end, last.end + length, memory, memory_bound});
  }
}

double LaneWork::at(const Stretch& stretch, Time position, Slowdown s) const {
  const Time memory = stretch.memory_before + (stretch.memory_bound ? position - stretch.begin : Time::zero());
  return static_cast<double>((position - memory).picoseconds()) * s.compute +
         static_cast<double>(memory.picoseconds()) * s.memory;
}

double LaneWork::picoseconds(Time position, Slowdown s) const {
  if (s == Slowdown{} || stretches_.empty()) return static_cast<double>(position.picoseconds());
  auto it = std::lower_bound(stretches_.begin(), stretches_.end(), position,
                             [](const Stretch& stretch, Time p) { return stretch.end < p; });
  if (it == stretches_.end()) --it;
  return at(*it, position, s);
}

Time LaneWork::position(double picoseconds, Slowdown s) const {
  auto it = std::lower_bound(stretches_.begin(), stretches_.end(), picoseconds,
                             [&](const Stretch& stretch, double p) { return at(stretch, stretch.end, s) < p; });
  if (it == stretches_.end()) return end();
  const double rest = picoseconds - at(*it, it->begin, s);
  return it->begin + Time::picoseconds(std::llround(rest / (it->memory_bound ? s.memory : s.compute)));
}

ComputeLane::ComputeLane(const LaneWork& work, Time start, double factor)
    : work_(&work), factor_(factor), first_{start, Time::zero(), {}} {}

bool ComputeLane::change(Time now, Slowdown s) {
  const Piece& last = later_.empty() ? first_ : later_.back();
  if (s == last.slowdown) return false;
  LOCKSTEP_EXPECTS(now >= last.at);
  const double done =
      work_->picoseconds(last.position, last.slowdown) + static_cast<double>((now - last.at).picoseconds()) / factor_;
  const Time position = work_->position(done, last.slowdown);
  if (position >= work_->end()) return false;
  later_.push_back({now, position, s});
  return true;
}

Time ComputeLane::when(Time position) const {
  const Piece* piece = &first_;
  for (auto it = later_.rbegin(); it != later_.rend(); ++it) {
    if (it->position > position) continue;
    piece = &*it;
    break;
  }
  if (piece->slowdown == Slowdown{}) return piece->at + (position - piece->position) * factor_;
  const double work =
      work_->picoseconds(position, piece->slowdown) - work_->picoseconds(piece->position, piece->slowdown);
  return piece->at + Time::picoseconds(std::llround(work * factor_));
}

}  // namespace lockstep::sim
