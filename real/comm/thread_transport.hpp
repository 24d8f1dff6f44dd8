// Ranks as threads of one process: for tests, and for several ranks that share one GPU.
#pragma once

#include <memory>
#include <vector>

#include "real/comm/transport.hpp"

namespace lockstep {

/// One transport per rank, all joined; each is used by the thread of its rank. They may be destroyed in any order.
std::vector<std::unique_ptr<Transport>> thread_transports(int ranks);

}  // namespace lockstep
