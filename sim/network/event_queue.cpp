#include "sim/network/event_queue.hpp"

#include "core/base/error.hpp"

namespace lockstep::sim {
namespace {

constexpr std::uint64_t kLast = 1ULL << 63;
constexpr std::size_t kWay = 4;

bool before(const Event& x, const Event& y) { return x.time != y.time ? x.time < y.time : x.sequence < y.sequence; }

}  // namespace

void EventQueue::insert(const Event& event) {
  LOCKSTEP_EXPECTS(event.time >= now_);
  std::size_t hole = heap_.size();
  heap_.push_back(event);
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / kWay;
    if (!before(event, heap_[parent])) break;
    heap_[hole] = heap_[parent];
    hole = parent;
  }
  heap_[hole] = event;
}

void EventQueue::push(Time time, std::uint32_t kind, std::uint32_t a, std::uint64_t b) {
  insert({time, sequence_++, kind, a, b});
}

void EventQueue::push_last(Time time, std::uint32_t kind, std::uint32_t a, std::uint64_t b) {
  insert({time, kLast | sequence_++, kind, a, b});
}

Event EventQueue::pop() {
  LOCKSTEP_EXPECTS(!heap_.empty());
  const Event top = heap_.front();
  const Event moved = heap_.back();
  heap_.pop_back();
  if (const std::size_t size = heap_.size(); size > 0) {
    std::size_t hole = 0;
    for (;;) {
      const std::size_t first = hole * kWay + 1;
      if (first >= size) break;
      std::size_t best = first;
      const std::size_t end = first + kWay < size ? first + kWay : size;
      for (std::size_t child = first + 1; child < end; ++child) {
        if (before(heap_[child], heap_[best])) best = child;
      }
      if (!before(heap_[best], moved)) break;
      heap_[hole] = heap_[best];
      hole = best;
    }
    heap_[hole] = moved;
  }
  now_ = top.time;
  ++popped_;
  digest_.add(static_cast<std::uint64_t>(top.time.picoseconds()));
  digest_.add(static_cast<std::uint64_t>(top.kind) << 32 | top.a);
  digest_.add(top.b);
  return top;
}

void EventQueue::restart(Time now) {
  heap_.clear();
  now_ = now;
}

}  // namespace lockstep::sim
