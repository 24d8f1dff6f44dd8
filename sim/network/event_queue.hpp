// The order of simulated events: by time; equal-time events come out in the order in which they went in, except that
// those of push_last() wait for all others of that time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/digest.hpp"
#include "core/base/units.hpp"

namespace lockstep::sim {

/// A plain record: what happens is told by `kind` and two words that only its owner understands.
struct Event {
  Time time;
  std::uint32_t kind = 0;
  std::uint32_t a = 0;
  std::uint64_t b = 0;
};

/// A priority queue of events. Deterministic: equal pushes give equal pops. No allocation per event once grown.
///
/// Nothing may be pushed before now(), so a radix heap will do (Ahuja, Mehlhorn, Orlin & Tarjan, JACM 1990): times are
/// numbers of base 64, and an event waits in the list of (level, digit), where `level` is the highest place in which
/// its time differs from now() and `digit` its own digit there. Once the clock comes to a list, its events spread over
/// lists of lower levels; a list of level 0 holds one time only. Each event moves at most once per level, O(log of the
/// time ahead), and only ever to the end of a list: equal times keep their order by themselves.
/// A list of few events is sorted at once instead: it becomes the front, which also takes what is pushed into its span.
class EventQueue {
 public:
  /// time >= now() >= 0.
  void push(Time time, std::uint32_t kind, std::uint32_t a, std::uint64_t b);
  /// As push(now(), ...), but comes after every event of this time that push() adds, even later: "once this instant is
  /// over".
  void push_last(std::uint32_t kind, std::uint32_t a, std::uint64_t b);
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// Removes the earliest event and advances now() to it. Not empty.
  Event pop();
  Time now() const { return now_; }
  std::uint64_t popped() const { return popped_; }
  /// Fingerprint of every event popped so far (time, kind, a, b).
  std::uint64_t digest() const { return digest_.value(); }
  /// Starts a new epoch at `now` >= 0: empties the queue, keeps the digest.
  void restart(Time now);

 private:
  static constexpr int kDigitBits = 6;
  static constexpr int kDigits = 1 << kDigitBits;
  static constexpr int kLevels = (63 + kDigitBits - 1) / kDigitBits;
  static constexpr std::size_t kFew = 16;         ///< events that are sorted rather than spread
  static constexpr std::size_t kLongFront = 128;  ///< beyond this, insertion is dearer than spreading

  /// Events in order of arrival; those before `next` are gone.
  struct List {
    std::vector<Event> events;
    std::size_t next = 0;
    Event take();
    bool empty() const { return next == events.size(); }
  };

  static int digit(Time time, int level) {
    return static_cast<int>(time.picoseconds() >> (level * kDigitBits)) & (kDigits - 1);
  }
  List& list(int level, int digit) { return lists_[static_cast<std::size_t>(level * kDigits + digit)]; }
  void place(const Event& event);
  void insert(const Event& event);
  void dissolve_front();
  void remove(int level, int digit);
  void advance();
  Event take();
  Event take_front();

  std::array<List, static_cast<std::size_t>(kLevels* kDigits)> lists_;
  std::array<std::uint64_t, static_cast<std::size_t>(kLevels)> filled_{};  ///< by level, one bit per digit
  std::uint32_t filled_levels_ = 0;                                        ///< one bit per level with a bit in filled_
  std::vector<Event> front_;  ///< in reverse order; all others wait for a later time, but those of level 0 for now()
  Time front_end_;            ///< what comes before it belongs to the front
  List last_;                 ///< of push_last()
  std::size_t size_ = 0;
  Time now_;
  std::uint64_t popped_ = 0;
  Digest digest_;
};

}  // namespace lockstep::sim
