// Proves a collective correct by executing it symbolically on small worlds.
#pragma once

#include <optional>
#include <string>

#include "core/plan/collective.hpp"

namespace lockstep {

/// Runs every step of every rank in an order chosen by `seed` (any order that the dependencies allow) on a buffer whose elements
/// are sets of ranks. Checks: no deadlock; every message is received by the step that it names, with equal spans and peers;
/// no contribution is added twice; nothing is read while a concurrent step writes it; at the end every rank holds every
/// contribution exactly once. Returns what is wrong, or nothing. world size <= 64. Cost: O(messages x elements).
std::optional<std::string> check(const CollectivePlan& plan, std::uint64_t seed = 1);

}  // namespace lockstep
