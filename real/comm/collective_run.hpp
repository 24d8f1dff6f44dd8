// Collectives under way: non-blocking, advanced by whoever has time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/plan/collective.hpp"
#include "real/comm/transport.hpp"
#include "real/comm/wire.hpp"

namespace lockstep {

/// One allreduce of one rank. The buffer belongs to it from construction until advance() has returned Done.
class CollectiveRun {
 public:
  enum class Progress { None, Some, Done };
  /// Gives up what is under way.
  virtual ~CollectiveRun() = default;
  /// Posts what can be posted, tests what is under way, combines what has arrived. Never waits.
  virtual Progress advance() = 0;
  /// True once a message of another rank has been taken.
  virtual bool heard() const = 0;
  /// Ranks whose messages are missing now, or that do not take ours, and where the collective stands: "phase 1 (allreduce of all ranks (ring)), step 5".
  struct Wait {
    std::vector<int> ranks;
    std::string where;
  };
  virtual Wait waiting() const = 0;
};

/// `sequence` numbers the collectives of a job in the order in which they begin, equal on all ranks; it keeps their messages apart.
/// Executes the very schedules that the simulator executes (core/plan/schedule.hpp), in pieces that stay in cache; sums are made in the
/// order that the schedule fixes, so equal inputs give equal bits. With 16 bits on the wire every rank ends with the rounded sum.
std::unique_ptr<CollectiveRun> run_planned(const CollectivePlan& plan, std::uint32_t sequence, std::span<float> buffer,
                                           WireType wire, Transport& transport);

/// `groups`: this rank's buffers of equal size, one per batch-norm group in order, ranks in order; those behind the first `filled` hold nothing.
/// The sum ((g0 + g1) + g2) + ... over the groups of all ranks arrives in groups[0] of every rank: the same bits for any number of ranks.
/// A chain over the ranks and back, pipelined in pieces: 2 S per rank and direction. fp32 only.
std::unique_ptr<CollectiveRun> run_ordered(std::vector<std::span<float>> groups, int filled, std::uint32_t sequence,
                                           Transport& transport);

/// The library's own allreduce.
std::unique_ptr<CollectiveRun> run_library(std::span<float> buffer, Transport& transport);

}  // namespace lockstep
