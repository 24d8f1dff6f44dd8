#include "real/cuda/comm/watchdog.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/units_text.hpp"

namespace lockstep::cuda {

namespace {

constexpr std::chrono::milliseconds kPoll{5};  // asking a device takes its driver's locks

}  // namespace

Watchdog::Watchdog(Settings settings) : settings_(std::move(settings)), thread_([this] { loop(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    leave_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watchdog::watch(Work work) {
  {
    const std::lock_guard lock(mutex_);
    pending_.push_back(std::move(work));
  }
  changed_.notify_all();
}

std::optional<Watchdog::Failure> Watchdog::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Watchdog::report(Failure failure) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
  }
  changed_.notify_all();
}

std::optional<Watchdog::Failure> Watchdog::look() {
  while (true) {
    Work front;
    {
      const std::lock_guard lock(mutex_);
      if (pending_.empty()) return std::nullopt;
      front = pending_.front();
    }
    if (std::string text = settings_.fault(); !text.empty())
      return Failure{fmt::format("{}: {}", front.what, text), front.place, false};
    State state = State::Waiting;
    try {
      state = front.state();
    } catch (const BackendError& e) {
      return Failure{fmt::format("{}: {}", front.what, e.what()), front.place, false};
    }
    const auto now = std::chrono::steady_clock::now();
    if (state == State::Waiting) running_.reset();
    if (state == State::Running && !running_) running_ = now;
    if (state != State::Done) {
      if (!running_ || std::chrono::duration<double>(now - *running_).count() <= settings_.timeout.seconds())
        return std::nullopt;
      return Failure{fmt::format("{} did not end within {}", front.what, to_text(settings_.timeout)), front.place,
                     true};
    }
    running_.reset();
    const std::lock_guard lock(mutex_);
    pending_.pop_front();
  }
}

void Watchdog::loop() {
  try {
    settings_.enter();
  } catch (const BackendError& e) {
    report({e.what(), 0, false});
  }
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto something = [&] { return leave_ || failure_ || !pending_.empty(); };
      changed_.wait(lock, something);
      if (failure_) break;
      if (leave_) return;
    }
    if (auto failure = look()) {
      report(std::move(*failure));
      break;
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPoll, [&] { return leave_ || failure_; });
  }
  settings_.stop();
}

}  // namespace lockstep::cuda
