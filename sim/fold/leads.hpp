// Who enters a collective when.
#pragma once

#include <vector>

#include "core/base/units.hpp"

namespace lockstep::sim {

/// By rank: how long before the last rank it enters, >= 0 and 0 for the last one; empty: all enter together. Lengths of collectives count from the last entry.
using Leads = std::vector<Time>;

}  // namespace lockstep::sim
