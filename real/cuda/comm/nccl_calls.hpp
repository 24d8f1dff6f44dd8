// Which NCCL collectives a CollectivePlan becomes: pure data, no NCCL needed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/plan/collective.hpp"

namespace lockstep::cuda {

/// The ranks of a communicator, by core's groups: World (x is 0), or Row, Column, Leaders of a grid with rows of x
/// ranks.
struct NcclGroup {
  Group group = Group::World;
  int x = 0;
  bool operator==(const NcclGroup&) const = default;
  /// "all ranks", "rows of 8", "columns across rows of 8", "leaders of rows of 8".
  std::string name() const;
};

/// The ranks of the communicator of `group` that `rank` belongs to, in member order; empty if it belongs to none
/// (Leaders). `world` is a multiple of group.x.
std::vector<int> members_of(const NcclGroup& group, int world, int rank);

/// One communicator per group that any of the plans needs, in the order of first use: equal on all ranks.
std::vector<NcclGroup> nccl_groups(std::span<const CollectivePlan> plans);

/// One call, in place in the bucket's buffer. Offsets and counts in elements; `count` as NCCL counts: of one member for
/// ReduceScatter and AllGather, of the whole otherwise. Never 0.
struct NcclCall {
  CollectiveOp op = CollectiveOp::Allreduce;
  std::int64_t send = 0;     ///< where the send buffer begins
  std::int64_t receive = 0;  ///< where the receive buffer begins
  std::int64_t count = 0;
  int root = 0;  ///< member, of Reduce and Broadcast
  bool operator==(const NcclCall&) const = default;
};

/// Calls on one communicator that go to NCCL as one group. A rank begins the next phase when this one is through.
struct NcclPhase {
  NcclGroup group;
  std::vector<NcclCall> calls;
};

/// What `rank` calls for a plan, whose sum then lies in the whole buffer of every rank. All members of a communicator
/// make the same calls on it in the same order. Empty for a world of one or an empty buffer.
///
/// Ring, halving-doubling and tree plans all become ONE ncclAllReduce over all ranks: which algorithm, protocol and
/// channels run is NCCL's own choice, and `across` and ring orders do not reach it. Hierarchical and torus plans keep
/// their phases: ncclReduceScatter in rows, ncclAllReduce in columns, ncclAllGather in rows (Yamazaki et al. 2019 on
/// ABCI: one communicator per local rank between nodes); three_phase: ncclReduce, ncclAllReduce of leaders,
/// ncclBroadcast. NCCL scatters equal parts only. Members of a row own equal parts of a multiple of kPartAlignment
/// elements, and the last one the remainder too, which travels by Reduce and Broadcast in the same group: exact, no
/// padding. So the parts differ slightly from those of core's schedules; sums are the same but for the order of
/// additions. O(phases).
std::vector<NcclPhase> nccl_calls(const CollectivePlan& plan, int rank);

/// Elements: 128 bytes of a 16-bit type, so that no part begins in the middle of a memory transaction.
constexpr std::int64_t kPartAlignment = 64;

/// Which elements of a bucket's buffer member `member` of a row of x owns between reduce-scatter and all-gather.
Span owned_part(std::int64_t elements, int member, int x);

}  // namespace lockstep::cuda
