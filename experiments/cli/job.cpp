#include "experiments/cli/job.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "experiments/cli/command.hpp"
#include "experiments/training/training.hpp"

namespace lockstep::cli {

int on_this_rank(const std::function<int()>& work) {
  try {
    return work();
  } catch (const ReportedByRank0&) {
    return kDone;
  } catch (const BackendError& e) {
    fmt::print(stderr, "lockstep: {}\n", e.what());
    abort_job_of(kMachineFailed);
    return kMachineFailed;
  }
}

}  // namespace lockstep::cli
