// The communication lane of one rank: a thread that runs collectives while the compute lane goes on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/units.hpp"
#include "real/comm/collective_run.hpp"

namespace lockstep {

/// Owns the transport from start() until every collective has been waited for; between steps others may use it. Collectives begin in the
/// order in which they were started, at most `in_flight` at once, and are advanced in turn. When nothing moves the thread sleeps,
/// a little longer each time, so that it does not take the core from the compute thread.
class CommunicationLane {
 public:
  using Clock = std::chrono::steady_clock;
  /// Makes the collective once it is its turn; `sequence` counts up from 0, equal on all ranks.
  using Begin = std::function<std::unique_ptr<CollectiveRun>(std::uint32_t sequence)>;
  struct Times {
    Clock::time_point begin, end;
    /// When a message of another rank was first taken, at most a sleep late: the earlier in [begin, end], the less this rank
    /// was ahead of the others. `end` where none was.
    Clock::time_point heard;
  };

  CommunicationLane(Transport& transport, int in_flight, Time timeout);
  ~CommunicationLane();
  CommunicationLane(const CommunicationLane&) = delete;
  CommunicationLane& operator=(const CommunicationLane&) = delete;

  /// `what` for messages: "the allreduce of bucket 2". Returns a ticket.
  std::int64_t start(const std::string& what, Begin begin);
  /// Waits for a collective and forgets it. Throws what went wrong in the lane: BackendError of the transport, or when nothing
  /// moved for `timeout`, naming the ranks that are waited for, their hosts, and the place in the collective.
  Times wait(std::int64_t ticket);

 private:
  struct Job {
    std::int64_t ticket = 0;
    std::string what;
    Begin begin;
    std::unique_ptr<CollectiveRun> run;
    Times times;
    bool heard = false;
  };
  void loop();
  [[noreturn]] void give_up() const;
  bool advance();  ///< one round over the jobs under way; true if anything moved

  Transport& transport_;
  const std::size_t in_flight_;
  const Time timeout_;
  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<Job> queued_;
  std::map<std::int64_t, Times> finished_;
  std::exception_ptr failure_;
  bool stop_ = false;
  std::int64_t next_ticket_ = 0;

  std::deque<Job> active_;  // of the thread alone
  std::uint32_t sequence_ = 0;
  std::thread thread_;
};

}  // namespace lockstep
