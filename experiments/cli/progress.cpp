#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "experiments/cli/command.hpp"

namespace lockstep::cli {

namespace {
// The only process-wide state: a signal handler can reach nothing else.
volatile std::sig_atomic_t g_interrupted = 0;

void on_signal(int signal) {
  if (g_interrupted) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  g_interrupted = 1;
}

void leave(int) {
  constexpr char kClearLine[] = "\r\033[K";
  [[maybe_unused]] const auto written =
      isatty(STDERR_FILENO) ? write(STDERR_FILENO, kClearLine, sizeof kClearLine - 1) : 0;
  _exit(kInterrupted);
}
}  // namespace

bool interrupted() { return g_interrupted != 0; }

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

void leave_when_interrupted() {
  std::signal(SIGINT, leave);
  std::signal(SIGTERM, leave);
}

Progress progress_line(const Context& context) {
  using Clock = std::chrono::steady_clock;
  struct State {
    Clock::time_point begin = Clock::now(), last = begin;
    bool shown = false;
    ~State() {
      if (shown && isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);
    }
  };
  auto state = std::make_shared<State>();
  return [state, quiet = context.quiet](double fraction, const std::string& what) {
    const auto now = Clock::now();
    const double elapsed = std::chrono::duration<double>(now - state->begin).count();
    const bool terminal = isatty(STDERR_FILENO);
    const double interval = terminal ? 0.2 : 5.0;
    if (!quiet && elapsed > 2 &&
        (!state->shown || std::chrono::duration<double>(now - state->last).count() > interval)) {
      const double left = fraction > 0.01 ? elapsed * (1 - fraction) / fraction : 0;
      const std::string eta = left > 0 ? fmt::format(", about {:.0f} s left", left) : "";
      fmt::print(stderr, "{}[{:3.0f} %] {}{}{}", terminal ? "\r\033[K" : "", 100 * fraction, what, eta,
                 terminal ? "" : "\n");
      std::fflush(stderr);
      state->last = now;
      state->shown = true;
    }
    return !interrupted();
  };
}

}  // namespace lockstep::cli
