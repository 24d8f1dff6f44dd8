#include "experiments/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep {

std::size_t usable_threads() {
  // What a launcher or a container bound this process to, where the system says so.
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1u, std::thread::hardware_concurrency());
}

bool for_each_in_parallel(std::size_t count, std::size_t threads, const std::function<void(std::size_t)>& work,
                          const std::function<bool(std::size_t done)>& poll) {
  std::atomic<std::size_t> next{0}, done{0};
  std::atomic<bool> stop{false};
  std::exception_ptr error;
  std::mutex guard;
  const auto loop = [&] {
    for (std::size_t i = next++; i < count && !stop; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(guard);
        if (!error) error = std::current_exception();
        stop = true;
      }
      ++done;
    }
  };
  std::vector<std::thread> pool;
  for (std::size_t t = 0; t < std::min(count, std::max<std::size_t>(1, threads)); ++t) pool.emplace_back(loop);
  try {
    while (done < count && !stop) {
      if (poll && !poll(done)) stop = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  } catch (...) {
    const std::lock_guard lock(guard);
    if (!error) error = std::current_exception();
    stop = true;
  }
  for (auto& t : pool) t.join();
  if (error) std::rethrow_exception(error);
  return !stop;
}

}  // namespace lockstep
