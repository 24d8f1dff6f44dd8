// Runs the points of a sweep: on all cores of this process, and dealt to all processes of a job.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "experiments/sweep/plan.hpp"
#include "experiments/sweep/results.hpp"

namespace lockstep {

/// Gives every process the text of each, in the order of their ranks, and waits for all. A process alone gets its own.
using Exchange = std::function<std::vector<std::string>(const std::string& mine)>;

struct SweepJob {
  std::size_t threads = 1;  ///< of this process; a point runs on one
  int rank = 0, size = 1;
  Exchange exchange = [](const std::string& mine) { return std::vector<std::string>{mine}; };
  bool efficiency = false;  ///< also against one GPU: one more simulation per distinct run of that one
  /// Every row of every process, in the calling thread of each, as points finish; it need not be thread-safe. May
  /// throw: the sweep ends.
  std::function<void(const SweepRow&)> finished;
  /// `fraction` of the work, by the GPUs of the points; false stops the sweep on every process. A point under way is
  /// given up or finished.
  std::function<bool(double fraction, std::size_t done)> progress;
};

/// Runs those points of `plan` that `todo` names (indices); all processes pass the same. Points with faults become rows
/// with their error at once; a point that fails becomes one too and the others go on. Rows depend on the point alone,
/// not on threads or processes; their order is that of finishing, points on many GPUs first. Returns false if it was
/// stopped.
bool run_sweep(const SweepRequest& request, const SweepPlan& plan, const std::vector<std::size_t>& todo,
               const SweepJob& job);

}  // namespace lockstep
