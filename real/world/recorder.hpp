// What this rank did when: sums per part of a step, and events of the steps that are traced.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "core/run/timeline.hpp"

namespace lockstep {

/// Steps whose events are kept: [first, first + count).
struct TracedSteps {
  std::int64_t first = 0, count = 0;
  bool contains(std::int64_t step) const { return first <= step && step < first + count; }
};

/// Measures with the steady clock from its construction. The compute thread and the communication thread may both add events.
class Recorder {
 public:
  Recorder(Rank rank, TracedSteps traced) : rank_(rank), traced_(traced) {}

  Time now() const { return Time::seconds(std::chrono::duration<double>(Clock::now() - begin_).count()); }
  /// Time of a point of the steady clock on this recorder's scale.
  Time at(std::chrono::steady_clock::time_point point) const {
    return Time::seconds(std::chrono::duration<double>(point - begin_).count());
  }

  void begin_step(std::int64_t step) {
    step_ = step;
    parts_ = {};
  }
  /// Books [begin, end) under the part that `kind` belongs to (Load: waiting for data). Not for Allreduce.
  void add(OpKind kind, Lane lane, const std::string& name, Time begin, Time end, Bytes bytes = {});
  /// An event of another lane: kept if the step is traced, not booked as a part of the step.
  void add_beside(OpKind kind, Lane lane, const std::string& name, Time begin, Time end, Bytes bytes = {});
  /// Books [begin, end), in which the compute lane waited for a collective: until the first message of another rank was seen at `heard` it waited
  /// for a slower rank, from then on for communication.
  void add_wait(Time begin, Time heard, Time end);
  bool traced() const { return traces(step_); }
  bool traces(std::int64_t step) const { return traced_.contains(step); }
  const Breakdown& parts() const { return parts_; }
  const std::vector<TimelineEvent>& events() const { return events_; }

 private:
  using Clock = std::chrono::steady_clock;
  Rank rank_;
  TracedSteps traced_;
  Clock::time_point begin_ = Clock::now();
  std::int64_t step_ = 0;
  Breakdown parts_;
  std::mutex mutex_;
  std::vector<TimelineEvent> events_;
};

/// Events as bytes and back, to send them between processes of one build.
std::string pack_events(const std::vector<TimelineEvent>& events);
std::vector<TimelineEvent> unpack_events(const std::string& bytes);

}  // namespace lockstep
