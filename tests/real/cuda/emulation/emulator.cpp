// glibc's checked longjmp takes a switch of stacks for an error.
#undef _FORTIFY_SOURCE

#include "tests/real/cuda/emulation/emulator.hpp"

#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace emulator {

namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr unsigned kMostThreads = 1024, kWarp = 32;

enum class State { Ready, AtBarrier, AtShuffle, Done };

/// Entered once by ucontext; all later switches are jumps, which do not enter the kernel of the system. Only
/// ThreadSanitizer, which has to know of them, gets real switches.
struct Fiber {
  ucontext_t context{};
  jmp_buf place{};
  void* sanitizer = nullptr;
  std::unique_ptr<char[]> stack;
  State state = State::Done;
  std::uint64_t given[2] = {0, 0};
  unsigned exchanges = 0;
};

struct Machine {
  std::mutex mutex;  // of a run
  jmp_buf scheduler{};
  ucontext_t context{};
  void* sanitizer = nullptr;
  std::vector<Fiber> fibers = std::vector<Fiber>(kMostThreads);
  unsigned current = 0;
  const std::function<void()>* kernel = nullptr;
};

Machine& machine() {
  static Machine m;
  return m;
}

void to_scheduler(Fiber& f) {
#ifdef __SANITIZE_THREAD__
  __tsan_switch_to_fiber(machine().sanitizer, 0);
  swapcontext(&f.context, &machine().context);
#else
  if (_setjmp(f.place) == 0) _longjmp(machine().scheduler, 1);
#endif
}

/// Back to the scheduler until it resumes this fiber.
void wait(State state) {
  Fiber& f = machine().fibers[machine().current];
  f.state = state;
  to_scheduler(f);
}

/// A fiber's whole life: one thread of every block it takes part in.
void live() {
  while (true) {
    (*machine().kernel)();
    wait(State::Done);
  }
}

void resume(unsigned thread) {
  Machine& m = machine();
  Fiber& f = m.fibers[thread];
  m.current = thread;
  thread_index = {thread, 0, 0};
  const bool fresh = !f.stack;
  if (fresh) {
    f.stack = std::make_unique<char[]>(kStackBytes);
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.get();
    f.context.uc_stack.ss_size = kStackBytes;
    makecontext(&f.context, live, 0);
  }
#ifdef __SANITIZE_THREAD__
  if (fresh) f.sanitizer = __tsan_create_fiber(0);
  m.sanitizer = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(f.sanitizer, 0);
  swapcontext(&m.context, &f.context);
#else
  if (_setjmp(m.scheduler) != 0) return;
  if (!fresh) _longjmp(f.place, 1);
  setcontext(&f.context);
#endif
}

unsigned count(unsigned first, unsigned end, State state) {
  unsigned n = 0;
  for (unsigned t = first; t < end; ++t) n += machine().fibers[t].state == state ? 1u : 0u;
  return n;
}

void release(unsigned first, unsigned end) {
  for (unsigned t = first; t < end; ++t) machine().fibers[t].state = State::Ready;
}

[[noreturn]] void fail(const char* name, const char* what) {
  for (Fiber& f : machine().fibers) {  // they stand amid the kernel
#ifdef __SANITIZE_THREAD__
    if (f.sanitizer != nullptr) __tsan_destroy_fiber(std::exchange(f.sanitizer, nullptr));
#endif
    f.stack.reset();
  }
  throw std::logic_error(std::string(name) + ": " + what);
}

/// Until all its threads are at a barrier of the block or through: far ahead of the other warps, which shows data that
/// a barrier should guard.
void run_warp(const char* name, unsigned first, unsigned end) {
  while (true) {
    for (unsigned i = first; i < end; ++i) {
      const unsigned t = order == Order::Forward ? i : end - 1 - (i - first);
      if (machine().fibers[t].state == State::Ready) resume(t);
    }
    const unsigned waiting = count(first, end, State::AtShuffle);
    if (waiting == 0) return;
    if (waiting != kWarp) fail(name, "a part of a warp shuffles");
    release(first, end);
  }
}

void run_block(const char* name, unsigned threads) {
  release(0, threads);
  for (Fiber& f : machine().fibers) f.exchanges = 0;
  const unsigned warps = (threads + kWarp - 1) / kWarp;
  while (true) {
    for (unsigned i = 0; i < warps; ++i) {
      const unsigned first = (order == Order::Forward ? i : warps - 1 - i) * kWarp;
      run_warp(name, first, first + kWarp < threads ? first + kWarp : threads);
    }
    const unsigned done = count(0, threads, State::Done);
    if (done == threads) return;
    if (done != 0) fail(name, "threads ended before a barrier that others wait at");
    release(0, threads);
  }
}

}  // namespace

void run(const char* name, dim3 grid, dim3 block, const std::function<void()>& kernel) {
  const std::lock_guard lock(machine().mutex);
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  const bool possible = block.x >= 1 && block.x <= kMostThreads && block.y == 1 && block.z == 1 && blocks >= 1 &&
                        grid.x <= 2147483647u && grid.y <= 65535u && grid.z == 1;
  if (!possible) fail(name, "no GPU takes such a launch, or the emulator does not");
  launched.emplace_back(name);
  machine().kernel = &kernel;
  block_size = block;
  grid_size = grid;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint64_t b = order == Order::Forward ? i : blocks - 1 - i;
    block_index = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x), 0};
    run_block(name, block.x);
  }
}

void block_barrier() { wait(State::AtBarrier); }

void exchange(void* value, std::size_t bytes, unsigned source) {
  Machine& m = machine();
  const unsigned self = m.current;
  // Two places in turn: a lane may give its next value before another has taken this one, but not the one after.
  const unsigned place = m.fibers[self].exchanges++ % 2;
  std::memcpy(&m.fibers[self].given[place], value, bytes);
  wait(State::AtShuffle);
  std::memcpy(value, &m.fibers[self / kWarp * kWarp + source].given[place], bytes);
}

}  // namespace emulator
