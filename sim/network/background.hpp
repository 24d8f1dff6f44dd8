// Traffic of other jobs between switches.
#pragma once

#include <vector>

#include "core/base/rng.hpp"
#include "core/base/units.hpp"
#include "sim/network/fabric.hpp"

namespace lockstep::sim {

/// What other jobs leave of every cable between switches, as capacities of the links from Fabric::first_cable() on.
///
/// Distribution: flows between GPUs of two different nodes, both drawn uniformly, that each want the rate of a NIC's port
/// and take the fabric's own routes; as many as it takes to load the cables that such flows reach to `share` of their
/// capacity on average. A cable carries at most its capacity of them, and leaves at least a fair share among them and one more.
/// 0 <= share < 1. Nothing changes where the fabric has no cables between switches, or no two nodes below different
/// leaves. Cost: a route for each of 8 x cables flows, and of those that load them.
std::vector<Bandwidth> left_by_other_jobs(const Fabric& fabric, double share, Rng rng);

}  // namespace lockstep::sim
