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
  filled_[static_cast<std::size_t>(level)] |= 1U << d;
  filled_levels_ |= 1U << level;
}

void EventQueue::push(Time time, std::uint32_t kind, std::uint32_t a, std::uint64_t b) {
  LOCKSTEP_EXPECTS(time >= now_);
  place({time, kind, a, b});
  ++size_;
}

void EventQueue::push_last(std::uint32_t kind, std::uint32_t a, std::uint64_t b) {
  last_.events.push_back({now_, kind, a, b});
  ++size_;
}

void EventQueue::remove(int level, int digit) {
  std::uint32_t& filled = filled_[static_cast<std::size_t>(level)];
  filled &= ~(1U << digit);
  if (filled == 0) filled_levels_ &= ~(1U << level);
}

/// Nothing is left of this instant: brings the clock to the next and its events to a list of level 0.
void EventQueue::advance() {
  remove(0, digit(now_, 0));
  const int level = std::countr_zero(filled_levels_);
  const int first = std::countr_zero(filled_[static_cast<std::size_t>(level)]);
  std::vector<Event>& next = list(level, first).events;
  now_ = next.front().time;
  if (level == 0) return;
  for (const Event& event : next) now_ = std::min(now_, event.time);
  remove(level, first);
  for (const Event& event : next) place(event);
  next.clear();
}

Event EventQueue::pop() {
  LOCKSTEP_EXPECTS(!empty());
  List* from = &list(0, digit(now_, 0));
  if (from->empty() && !last_.empty()) {
    from = &last_;
  } else if (from->empty()) {
    advance();
    from = &list(0, digit(now_, 0));
  }
  const Event event = from->take();
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
  filled_ = {};
  filled_levels_ = 0;
  size_ = 0;
  now_ = now;
}

}  // namespace lockstep::sim
