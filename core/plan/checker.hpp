// Proves a collective correct by executing it symbolically on small worlds.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/plan/collective.hpp"

namespace lockstep {

/// A collective as the checker sees it: peers of the steps are ranks. Tests feed altered ones to see them refused.
struct CheckedCollective {
  int world = 1;
  int phases = 0;
  std::int64_t elements = 0;
  std::function<bool(int phase, int rank)> takes_part;
  std::function<int(int phase, int rank)> lanes;
  std::function<std::int64_t(int phase, int rank, int lane)> steps;
  std::function<ScheduleStep(int phase, int rank, int lane, std::int64_t step)> step;
};
CheckedCollective checked(const CollectivePlan& plan);

/// Runs every step of every rank in an order chosen by `seed` (any order that the dependencies allow) on a buffer whose elements
/// are sets of ranks. Checks: no deadlock; every message is received by the step that it names, with equal spans and peers;
/// no contribution is added twice; nothing is read while a concurrent step writes it; at the end every rank holds every
/// contribution exactly once. Returns what is wrong, or nothing. world size <= 64. Cost: O(messages x elements).
std::optional<std::string> check(const CheckedCollective& collective, std::uint64_t seed = 1);
std::optional<std::string> check(const CollectivePlan& plan, std::uint64_t seed = 1);

}  // namespace lockstep
