#include "real/comm/communication_lane.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"

namespace lockstep {

namespace {

constexpr int kSpins = 200;  // rounds without movement before the thread sleeps
constexpr std::chrono::microseconds kFirstSleep{5}, kLongestSleep{100};

std::string names_of(const Transport& transport, const std::vector<int>& ranks) {
  std::string out;
  for (std::size_t i = 0; i < ranks.size() && i < 4; ++i)
    out += fmt::format("{}rank {} (host {})", i == 0 ? "" : ", ", ranks[i], transport.host(ranks[i]));
  return ranks.size() > 4 ? out + fmt::format(" and {} more", ranks.size() - 4) : out;
}

}  // namespace

CommunicationLane::CommunicationLane(Transport& transport, int in_flight, Time timeout)
    : transport_(transport),
      in_flight_(static_cast<std::size_t>(in_flight)),
      timeout_(timeout),
      thread_([this] { loop(); }) {
  LOCKSTEP_EXPECTS(in_flight >= 1);
}

CommunicationLane::~CommunicationLane() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  thread_.join();
}

std::int64_t CommunicationLane::start(const std::string& what, Begin begin) {
  const std::lock_guard lock(mutex_);
  queued_.push_back({next_ticket_, what, std::move(begin), nullptr, {}});
  work_.notify_all();
  return next_ticket_++;
}

CommunicationLane::Times CommunicationLane::wait(std::int64_t ticket) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return failure_ || finished_.count(ticket) > 0; });
  if (failure_) std::rethrow_exception(failure_);
  const Times times = finished_.at(ticket);
  finished_.erase(ticket);
  return times;
}

bool CommunicationLane::advance() {
  bool moved = false;
  for (auto job = active_.begin(); job != active_.end();) {
    const auto progress = job->run->advance();
    moved = moved || progress != CollectiveRun::Progress::None;
    if (!job->heard && job->run->heard()) {
      job->heard = true;
      job->times.heard = Clock::now();
    }
    if (progress != CollectiveRun::Progress::Done) {
      ++job;
      continue;
    }
    job->times.end = Clock::now();
    if (!job->heard) job->times.heard = job->times.end;
    {
      const std::lock_guard lock(mutex_);
      finished_[job->ticket] = job->times;
    }
    done_.notify_all();
    job = active_.erase(job);
  }
  return moved;
}

void CommunicationLane::give_up() const {
  const auto stuck =
      std::find_if(active_.begin(), active_.end(), [](const Job& job) { return !job.run->waiting().ranks.empty(); });
  const Job& job = stuck != active_.end() ? *stuck : active_.front();
  const CollectiveRun::Wait wait = job.run->waiting();
  throw BackendError(fmt::format("rank {} (host {}): no message from {} for {}, in {}: {}", transport_.rank(),
                                 transport_.host(transport_.rank()), names_of(transport_, wait.ranks),
                                 to_text(timeout_), job.what, wait.where));
}

void CommunicationLane::loop() {
  try {
    int idle = 0;
    Clock::time_point moved = Clock::now();
    while (true) {
      {
        std::unique_lock lock(mutex_);
        if (active_.empty()) {
          work_.wait(lock, [&] { return stop_ || !queued_.empty(); });
          moved = Clock::now();
        }
        if (stop_) return;
        while (!queued_.empty() && active_.size() < in_flight_) {
          active_.push_back(std::move(queued_.front()));
          queued_.pop_front();
        }
      }
      for (Job& job : active_) {
        if (job.run) continue;
        job.times.begin = Clock::now();
        job.run = job.begin(sequence_++);
      }
      if (advance()) {
        idle = 0;
        moved = Clock::now();
        continue;
      }
      if (++idle < kSpins) {
        std::this_thread::yield();
        continue;
      }
      std::this_thread::sleep_for(std::min(kLongestSleep, kFirstSleep * (1 + (idle - kSpins) / 16)));
      const double waited = std::chrono::duration<double>(Clock::now() - moved).count();
      if (waited > timeout_.seconds()) give_up();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    done_.notify_all();
  }
}

}  // namespace lockstep
