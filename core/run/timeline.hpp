// What happened when: the one record type that simulated and real runs share.
#pragma once

#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/units.hpp"
#include "core/plan/step_program.hpp"

namespace lockstep {

struct TimelineEvent {
  Rank rank;
  Lane lane = Lane::Compute;
  std::int64_t step = 0;
  OpKind kind = OpKind::Forward;
  std::string name;  ///< StepProgram::name(op), or a phase of a collective
  Time begin, end;
  Bytes bytes;  ///< Allreduce: size of the bucket
};

struct Timeline {
  std::vector<TimelineEvent> events;  ///< ordered by (rank, lane, begin)
};

/// Lengths of the parts of a step as seen by one rank or averaged over ranks; they sum to the step.
struct Breakdown {
  Time input;  ///< compute lane waiting for data
  Time forward;
  Time backward;
  Time exposed;    ///< communication not hidden by computation
  Time straggler;  ///< waiting for the slowest rank to enter a collective
  Time update;
  Time total() const { return input + forward + backward + exposed + straggler + update; }
  Breakdown& operator+=(const Breakdown& o);
  Breakdown operator/(double n) const;
};

std::string to_text(Lane lane);
std::string to_text(OpKind kind);

}  // namespace lockstep
