#include "real/cuda/comm/nccl_calls.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace lockstep::cuda {

namespace {

std::int64_t equal_part(std::int64_t elements, int x) { return elements / x / kPartAlignment * kPartAlignment; }

/// Of the scattered phases in rows: the equal parts, and the remainder at the last member.
std::vector<NcclCall> row_calls(CollectiveOp op, std::int64_t elements, int member, int x) {
  const std::int64_t each = equal_part(elements, x), mine = member * each, rest = x * each;
  const bool scatter = op == CollectiveOp::ReduceScatter;
  std::vector<NcclCall> calls;
  if (each > 0) calls.push_back({op, scatter ? 0 : mine, scatter ? mine : 0, each, 0});
  if (rest < elements) {
    calls.push_back({scatter ? CollectiveOp::Reduce : CollectiveOp::Broadcast, rest, rest, elements - rest, x - 1});
  }
  return calls;
}

NcclGroup group_of(const CollectivePlan& plan, const Phase& phase) {
  return {phase.group, phase.group == Group::World ? 0 : plan.grid.x};
}

}  // namespace

std::string NcclGroup::name() const {
  switch (group) {
    case Group::World: return "all ranks";
    case Group::Row: return fmt::format("rows of {}", x);
    case Group::Column: return fmt::format("columns across rows of {}", x);
    case Group::Leaders: return fmt::format("leaders of rows of {}", x);
  }
  return "?";
}

std::vector<int> members_of(const NcclGroup& group, int world, int rank) {
  LOCKSTEP_EXPECTS(0 <= rank && rank < world);
  int first = 0, last = world, stride = 1;
  if (group.group != Group::World) {
    LOCKSTEP_EXPECTS(group.x >= 1 && world % group.x == 0);
    if (group.group == Group::Leaders && rank % group.x != 0) return {};
    if (group.group == Group::Row) {
      first = rank / group.x * group.x;
      last = first + group.x;
    } else {
      first = rank % group.x;
      stride = group.x;
    }
  }
  std::vector<int> members;
  for (int r = first; r < last; r += stride) members.push_back(r);
  return members;
}

std::vector<NcclGroup> nccl_groups(std::span<const CollectivePlan> plans) {
  std::vector<NcclGroup> groups;
  for (const CollectivePlan& plan : plans) {
    for (const Phase& phase : plan.phases) {
      const NcclGroup group = group_of(plan, phase);
      if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
    }
  }
  return groups;
}

Span owned_part(std::int64_t elements, int member, int x) {
  LOCKSTEP_EXPECTS(0 <= member && member < x);
  const std::int64_t each = equal_part(elements, x), begin = member * each;
  return {begin, member == x - 1 ? elements - begin : each};
}

std::vector<NcclPhase> nccl_calls(const CollectivePlan& plan, int rank) {
  LOCKSTEP_EXPECTS(0 <= rank && rank < plan.grid.size());
  const std::int64_t n = plan.elements;
  std::vector<NcclPhase> phases;
  for (const Phase& phase : plan.phases) {
    if (!plan.takes_part(phase, Rank(rank))) continue;
    NcclPhase out{group_of(plan, phase), {}};
    if (phase.op == CollectiveOp::ReduceScatter || phase.op == CollectiveOp::AllGather) {
      LOCKSTEP_EXPECTS(phase.group == Group::Row);
      out.calls = row_calls(phase.op, n, plan.member(phase, Rank(rank)), plan.grid.x);
    } else {
      const Span span = phase.group == Group::Column ? owned_part(n, rank % plan.grid.x, plan.grid.x) : Span{0, n};
      if (span.length > 0) out.calls.push_back({phase.op, span.begin, span.begin, span.length, 0});
    }
    if (!out.calls.empty()) phases.push_back(std::move(out));
  }
  return phases;
}

}  // namespace lockstep::cuda
