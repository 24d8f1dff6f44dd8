// The order of simulated events: by time, ties by sequence number. Equal-time events come out in the order in which
// they went in, except that those of push_last() wait for all others of that time.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/digest.hpp"
#include "core/base/units.hpp"

namespace lockstep::sim {

/// A plain record: what happens is told by `kind` and two words that only its owner understands.
struct Event {
  Time time;
  std::uint64_t sequence = 0;
  std::uint32_t kind = 0;
  std::uint32_t a = 0;
  std::uint64_t b = 0;
};

/// A priority queue of events. Deterministic: equal pushes give equal pops. O(log n) each, no allocation per event once
/// grown.
class EventQueue {
 public:
  /// time >= now().
  void push(Time time, std::uint32_t kind, std::uint32_t a, std::uint64_t b);
  /// As push(), but comes after every event of the same time that push() adds, even later: "once this instant is over".
  void push_last(Time time, std::uint32_t kind, std::uint32_t a, std::uint64_t b);
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  /// Removes the earliest event and advances now() to it. Not empty.
  Event pop();
  Time now() const { return now_; }
  std::uint64_t popped() const { return popped_; }
  /// Fingerprint of every event popped so far (time, kind, a, b).
  std::uint64_t digest() const { return digest_.value(); }
  /// Starts a new epoch at `now`: empties the queue, keeps the digest.
  void restart(Time now);

 private:
  void insert(const Event& event);

  std::vector<Event> heap_;  ///< four children per node: half the depth of a binary heap, siblings on two cache lines
  Time now_;
  std::uint64_t sequence_ = 0;
  std::uint64_t popped_ = 0;
  Digest digest_;
};

}  // namespace lockstep::sim
