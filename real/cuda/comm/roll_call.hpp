// Who is still there: asked when a collective does not end and the library cannot say whom it waits for.
#pragma once

#include <vector>

#include "core/base/units.hpp"
#include "real/comm/transport.hpp"

namespace lockstep::cuda {

/// Sends `place` (the bucket in which this rank waits, or any number >= 0) to every rank, and waits at most `patience`
/// for theirs. Element r is the place of rank r, or -1 where none came: it is lost, or so late that it has not noticed
/// anything yet. A rank that timed out calls it as well, so ranks with equal time-outs find each other. Never throws,
/// never waits longer.
std::vector<int> roll_call(Transport& transport, int place, Time patience);

}  // namespace lockstep::cuda
