// Independent pieces of work on several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace lockstep {

/// The threads that this process may keep busy, >= 1.
std::size_t usable_threads();

/// Calls `work(0 .. count - 1)`, each once, from up to `threads` threads, in rising order of beginning; results should
/// go to places fixed by the index. `poll(done)` is called from the calling thread about every 20 ms while work goes
/// on, with the number of finished pieces; false begins no further piece. Returns false if it did. The first exception
/// of `work` begins no further piece either and is rethrown after all threads have ended.
bool for_each_in_parallel(std::size_t count, std::size_t threads, const std::function<void(std::size_t)>& work,
                          const std::function<bool(std::size_t done)>& poll);

}  // namespace lockstep
