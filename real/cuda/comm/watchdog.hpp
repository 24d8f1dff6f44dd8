// Watches work of the device from the host, so that a collective whose peers are gone does not hang the run.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/base/units.hpp"

namespace lockstep::cuda {

/// A thread that looks at pieces of work in the order in which they were given, every few milliseconds while there are
/// any.
class Watchdog {
 public:
  enum class State { Waiting, Running, Done };  ///< Waiting: not begun, so no one is late yet
  struct Work {
    std::string what;              ///< "the allreduce of bucket 2"
    int place = 0;                 ///< the caller's number for it
    std::function<State()> state;  ///< called by the thread; may throw BackendError
  };
  struct Failure {
    std::string text;  ///< "the allreduce of bucket 2 did not end within 60.0 s"
    int place = 0;
    bool late = false;  ///< a time-out, not an error that was reported
  };
  struct Settings {
    Time timeout;                        ///< of one piece of work, from the moment it was first seen Running
    std::function<void()> enter;         ///< called once by the thread before anything else; may throw BackendError
    std::function<std::string()> fault;  ///< an error reported by the library, or empty; called by the thread
    std::function<void()> stop;          ///< called once by the thread after the first failure has been noted
  };

  explicit Watchdog(Settings settings);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void watch(Work work);
  /// The first failure. Nothing is watched after it.
  std::optional<Failure> failure() const;
  /// Notes a failure found by someone else, unless there is one; stop() is then called by the thread, at the latest
  /// while the watchdog is destroyed.
  void report(Failure failure);

 private:
  void loop();
  /// Looks once at the work in hand.
  std::optional<Failure> look();

  Settings settings_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> pending_;
  std::optional<Failure> failure_;
  bool leave_ = false;
  std::optional<std::chrono::steady_clock::time_point> running_;  ///< since when the front runs; of the thread alone
  std::thread thread_;
};

}  // namespace lockstep::cuda
