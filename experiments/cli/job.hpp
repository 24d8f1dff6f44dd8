// Commands that run as several processes of one job.
#pragma once

#include <functional>

namespace lockstep::cli {

/// What `work` returns on this process, or the exit code of what it throws: faults that rank 0 reports end the others in silence with 0, as a launcher
/// would end the job before rank 0 has spoken; an error of the machine is told here and ends the whole job, for the others wait for this process.
/// ConfigError goes on to the caller.
int on_this_rank(const std::function<int()>& work);

}  // namespace lockstep::cli
