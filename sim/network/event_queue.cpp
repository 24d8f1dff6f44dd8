#include "sim/network/event_queue.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace lockstep::sim {

Event EventQueue::List::take() {
  const Event event = events[next++];
  if (empty()) {
    events.clear();  // keeps the memory
    next = 0;
  }
  return event;
}

void EventQueue::place(const Event& event) {
  const auto difference = static_cast<std::uint64_t>(event.time.picoseconds() ^ now_.picoseconds());
  const int level = difference == 0 ? 0 : static_cast<int>(std::bit_width(difference) - 1) / kDigitBits;
  const int d = digit(event.time, level);
  list(level, d).events.push_back(event);
  filled_[static_cast<std::size_t>(level)] |= std::uint64_t{1} << d;
  filled_levels_ |= 1U << level;
}

void EventQueue::push(Time time, std::uint32_t kind, std::uint32_t a, std::uint64_t b) {
  LOCKSTEP_EXPECTS(time >= now_);
  // What is pushed for this very instant comes after all that waits for it, in the front too.
  if (time < front_end_ && time > now_) {
    insert({time, kind, a, b});
  } else {
    place({time, kind, a, b});
  }
  ++size_;
}

void EventQueue::insert(const Event& event) {
  std::size_t i = front_.size();
  while (i > 0 && front_[i - 1].time <= event.time) --i;
  front_.insert(front_.begin() + static_cast<std::ptrdiff_t>(i), event);
  if (front_.size() > kLongFront) dissolve_front();
}

void EventQueue::dissolve_front() {
  // Those of now() have waited longer than any in the lists.
  const std::size_t keep = static_cast<std::size_t>(
      std::find_if(front_.rbegin(), front_.rend(), [this](const Event& e) { return e.time != now_; }) -
      front_.rbegin());
  const std::size_t spread = front_.size() - keep;
  for (std::size_t i = spread; i > 0; --i) place(front_[i - 1]);
  front_.erase(front_.begin(), front_.begin() + static_cast<std::ptrdiff_t>(spread));
  front_end_ = now_;
}

void EventQueue::push_last(std::uint32_t kind, std::uint32_t a, std::uint64_t b) {
  last_.events.push_back({now_, kind, a, b});
  ++size_;
}

void EventQueue::remove(int level, int digit) {
  std::uint64_t& filled = filled_[static_cast<std::size_t>(level)];
  filled &= ~(std::uint64_t{1} << digit);
  if (filled == 0) filled_levels_ &= ~(1U << level);
}

/// Nothing is left of this instant nor in the front: brings the clock to the next and its events to a list of level 0 or the front.
void EventQueue::advance() {
  const int level = std::countr_zero(filled_levels_);
  const int first = std::countr_zero(filled_[static_cast<std::size_t>(level)]);
  std::vector<Event>& next = list(level, first).events;
  now_ = next.front().time;
  if (level == 0) return;
  remove(level, first);
  if (next.size() <= kFew) {
    const int shift = level * kDigitBits;
    front_end_ = level + 1 < kLevels ? Time::picoseconds(((now_.picoseconds() >> shift) + 1) << shift) : Time::never();
    front_.assign(next.begin(), next.end());
    std::reverse(front_.begin(), front_.end());
    for (std::size_t i = 1; i < front_.size(); ++i) {  // stable
      const Event event = front_[i];
      std::size_t to = i;
      for (; to > 0 && front_[to - 1].time < event.time; --to) front_[to] = front_[to - 1];
      front_[to] = event;
    }
    now_ = front_.back().time;
  } else {
    for (const Event& event : next) now_ = std::min(now_, event.time);
    for (const Event& event : next) place(event);
  }
  next.clear();
}

Event EventQueue::take() {
  if (!front_.empty() && front_.back().time == now_) return take_front();
  List& here = list(0, digit(now_, 0));
  if (!here.empty()) return here.take();
  if (!last_.empty()) return last_.take();
  remove(0, digit(now_, 0));
  if (front_.empty()) {
    advance();
    if (front_.empty()) return list(0, digit(now_, 0)).take();
  }
  now_ = front_.back().time;
  return take_front();
}

Event EventQueue::take_front() {
  const Event event = front_.back();
  front_.pop_back();
  return event;
}

Event EventQueue::pop() {
  LOCKSTEP_EXPECTS(!empty());
  const Event event = take();
  --size_;
  ++popped_;
  digest_.add(static_cast<std::uint64_t>(event.time.picoseconds()));
  digest_.add(static_cast<std::uint64_t>(event.kind) << 32 | event.a);
  digest_.add(event.b);
  return event;
}

void EventQueue::restart(Time now) {
  for (List& list : lists_) list = {};
  last_ = {};
  front_.clear();
  front_end_ = Time::zero();
  filled_ = {};
  filled_levels_ = 0;
  size_ = 0;
  now_ = now;
}

}  // namespace lockstep::sim
