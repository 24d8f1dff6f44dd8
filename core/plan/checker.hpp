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
  /// Sets of ranks (bit r = rank r) whose contributions an element holds at first and must hold at the end; 0 =
  /// anything goes. Absent: {rank}, and all ranks, as for an allreduce.
  std::function<std::uint64_t(int rank, std::int64_t element)> start, expected;
};
CheckedCollective checked(const CollectivePlan& plan);
/// One schedule of any operation, member = rank, inside a buffer of `elements`, which must reach to its span's end.
/// Expected: what the operation promises on the span (ReduceScatter: on the owner; Reduce: on member 0), and untouched
/// elements elsewhere.
CheckedCollective checked(const Schedule& schedule, std::int64_t elements);

/// Runs every step of every rank, in an order chosen by `seed` among those that the dependencies allow, on a buffer
/// whose elements are sets of ranks. Returns what is wrong first, or nothing. Checked:
///   * no deadlock; every message goes to a step that exists, is received there, and agrees on peers and span;
///   * no contribution is added twice; at the end every rank holds every contribution exactly once, or what `expected`
///     says;
///   * of two steps of a rank on different lanes that touch the same element, one of them receiving, one is complete
///     before the other begins in EVERY order that lanes, waits and messages allow (vector clocks: Mattern 1989;
///     Flanagan & Freund, PLDI 2009).
/// By the last point, and because messages name their receivers, the result does not depend on the order: one run
/// proves all orders. 1 <= world <= 64. Cost: O(messages x (elements + lanes of all ranks)).
std::optional<std::string> check(const CheckedCollective& collective, std::uint64_t seed = 1);
std::optional<std::string> check(const CollectivePlan& plan, std::uint64_t seed = 1);

}  // namespace lockstep
