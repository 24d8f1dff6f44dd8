// Collectives as lazy schedules: what one member of a group does, step by step, computed on demand.
//
// A member has one or more lanes. Lanes run at the same time; the steps of a lane run in order. A step
//   * begins when the lane's previous step is complete and all its `waits` hold,
//   * may send a span of the buffer (read when the step begins),
//   * may receive a span from a peer and add it to the buffer (`reduce`) or overwrite it,
//   * is complete when its send has left (the span may be overwritten) and its receive has been combined.
// A send names the lane and step of the peer's matching receive, so messages match without tags or order.
// Nothing is ever materialised: a flat ring over 2,048 ranks has 8.4 million messages.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace lockstep {

/// Elements [begin, begin + length) of a collective's buffer. Length 0 is legal and moves no data, but still synchronises.
struct Span {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  bool operator==(const Span&) const = default;
};

/// Part `i` of `n` of a span: [floor(i L / n), floor((i + 1) L / n)); parts tile the span, sizes differ by at most one.
Span part(Span whole, std::int64_t i, std::int64_t n);

struct ScheduleStep {
  int send_to = -1;               ///< group member, or -1
  int send_lane = 0;              ///< the receiver's lane
  std::int64_t send_step = 0;     ///< the receiver's step on that lane
  Span send;
  int receive_from = -1;          ///< group member, or -1
  bool reduce = false;            ///< add to the buffer instead of overwriting it
  Span receive;
  struct Wait {
    int lane = -1;                ///< own lane, or -1 for "no wait"
    std::int64_t steps = 0;       ///< that many of its steps must be complete
  };
  std::array<Wait, 3> waits;
};

enum class CollectiveOp { Allreduce, ReduceScatter, AllGather, Reduce, Broadcast };

/// Ring over `orders.size()` channels. Channel c visits members in orders[c] (a permutation; lane c), moving the c-th part
/// of every member's segment, so that after ReduceScatter member m owns part(buffer, m, members) whatever the order.
/// Allreduce: 2(n-1) steps per lane; ReduceScatter and AllGather n-1; Reduce (to member 0) and Broadcast (from member 0)
/// are pipelined chains over `chunk` elements. (Patarasuk & Yuan, JPDC 2009.)
struct RingSchedule {
  CollectiveOp op = CollectiveOp::Allreduce;
  Span buffer;
  std::vector<std::vector<int>> orders;
  std::vector<std::vector<int>> position;  ///< inverse permutations
  std::int64_t chunk = 0;
};

/// Recursive halving, then doubling; other counts than powers of two by binary blocks (Rabenseifner 2004; Gloo;
/// Goyal et al. section 4: blocks of sizes 2^k, smaller blocks feed larger ones). One lane. Allreduce only.
struct HalvingDoublingSchedule {
  Span buffer;
  int members = 1;
};

/// Two complementary binary trees, each reducing and broadcasting half of the buffer in chunks, pipelined
/// (Sanders, Speck & Traeff 2009; NCCL 2.4). Lanes: one per (tree, direction, edge). Allreduce only.
struct TreeSchedule {
  Span buffer;
  int members = 1;
  std::int64_t chunk = 1;  ///< elements
};

/// A collective over one group of members, as lazy steps.
class Schedule {
 public:
  using Variant = std::variant<RingSchedule, HalvingDoublingSchedule, TreeSchedule>;
  explicit Schedule(Variant v) : v_(std::move(v)) {}

  int members() const;
  int lanes(int member) const;
  std::int64_t steps(int member, int lane) const;
  /// 0 <= step < steps(member, lane). Pure, no allocation, O(log members) at most.
  ScheduleStep step(int member, int lane, std::int64_t step) const;
  const Variant& variant() const { return v_; }

 private:
  Variant v_;
};

/// `orders` empty = one ring in member order. `chunk` only matters for Reduce and Broadcast. members >= 1, buffer.length >= 0.
Schedule ring_schedule(CollectiveOp op, Span buffer, int members, std::vector<std::vector<int>> orders = {}, std::int64_t chunk = 0);
Schedule halving_doubling_schedule(Span buffer, int members);
Schedule tree_schedule(Span buffer, int members, std::int64_t chunk);

}  // namespace lockstep
