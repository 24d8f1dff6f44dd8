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
#include <initializer_list>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace lockstep {

/// Elements [begin, begin + length) of a collective's buffer. Length 0 is legal and moves no data, but still
/// synchronises.
struct Span {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  bool operator==(const Span&) const = default;
};

/// Part `i` of `n` of a span: [floor(i L / n), floor((i + 1) L / n)); parts tile the span, sizes differ by at most one.
/// 0 <= i < n < 2^31. Parts nest: part i of n is parts i k .. i k + k - 1 of n k together.
Span part(Span whole, std::int64_t i, std::int64_t n);

/// What a send is where the switches of a node add and copy; anywhere else every message goes its way alone, with the same result. The data of the head
/// of such a group, which it reads and writes through the switch too, travel with the message that carries the sum or the copies: twice the bytes at the head.
enum class SwitchRole : std::uint8_t {
  None,
  Joins,         ///< ends in the switch, in the sum
  CarriesSum,    ///< the message that comes out of the switch as the sum of all
  Copy,          ///< begins in the switch
  CarriesCopies  ///< the message that the switch copies for the others
};

struct ScheduleStep {
  int send_to = -1;            ///< group member, or -1
  int send_lane = 0;           ///< the receiver's lane
  std::int64_t send_step = 0;  ///< the receiver's step on that lane
  Span send;
  int receive_from = -1;               ///< group member, or -1
  bool reduce = false;                 ///< add to the buffer instead of overwriting it
  SwitchRole role = SwitchRole::None;  ///< of the send
  Span receive;
  struct Wait {
    int lane = -1;           ///< own lane, or -1 for "no wait"
    std::int64_t steps = 0;  ///< that many of its steps must be complete
  };
  std::array<Wait, 3> waits;
};

enum class CollectiveOp { Allreduce, ReduceScatter, AllGather, Reduce, Broadcast };

/// The ways in which ring channels visit the members of a group, each a permutation. Immutable and shared: copies cost
/// nothing.
class RingOrders {
 public:
  RingOrders() = default;  ///< no channel named: one ring in member order, which needs no table
  RingOrders(std::vector<std::vector<int>> orders);
  RingOrders(std::initializer_list<std::vector<int>> orders) : RingOrders(std::vector<std::vector<int>>(orders)) {}

  std::size_t size() const { return tables_ ? tables_->orders.size() : 0; }
  bool empty() const { return size() == 0; }
  const std::vector<int>& operator[](std::size_t channel) const { return tables_->orders[channel]; }
  const std::vector<int>* begin() const { return tables_ ? tables_->orders.data() : nullptr; }
  const std::vector<int>* end() const { return begin() + size(); }

  int channels() const { return empty() ? 1 : static_cast<int>(size()); }
  int member_at(int channel, int place) const {
    return tables_ ? tables_->orders[static_cast<std::size_t>(channel)][static_cast<std::size_t>(place)] : place;
  }
  int place_of(int channel, int member) const {
    return tables_ ? tables_->places[static_cast<std::size_t>(channel)][static_cast<std::size_t>(member)] : member;
  }

 private:
  struct Tables {
    std::vector<std::vector<int>> orders, places;  // places: inverse permutations
  };
  std::shared_ptr<const Tables> tables_;
};

/// Ring over `orders.channels()` channels. Channel c visits members in orders[c], moving the c-th part of every
/// member's segment, so that after ReduceScatter member m owns part(buffer, m, members) whatever the order. Allreduce:
/// 2(n-1) steps per lane, one lane per channel; ReduceScatter and AllGather n-1. (Patarasuk & Yuan, JPDC 2009.)
/// An Allreduce with `chunk` > 0 goes round in loops, part i of `loops` of the buffer in loop i, so that no piece is
/// longer than a chunk, as NCCL's buffers demand; 0: one loop.
/// Reduce (to member 0) and Broadcast (from member 0): pipelined chains along the ring, `chunk` elements at a time;
/// channel c carries the c-th part of the buffer and has lane 2c for its receives and lane 2c + 1 for its sends.
struct RingSchedule {
  CollectiveOp op = CollectiveOp::Allreduce;
  Span buffer;
  int members = 1;
  RingOrders orders;
  std::int64_t chunk = 1;  ///< elements, >= 1; of an Allreduce >= 0
  std::int64_t loops = 1;  ///< of an Allreduce, from chunk: see ring_schedule()

  int lanes(int member) const;
  std::int64_t steps(int member, int lane) const;
  ScheduleStep step(int member, int lane, std::int64_t step) const;
};

/// Recursive halving, then doubling; other counts than powers of two by binary blocks (Rabenseifner 2004; Gloo;
/// Goyal et al. section 4): the members form blocks of the powers of two in their count, largest first. Each block
/// halves; from the smallest up, a block's sums join the next larger block; totals return the same way; each block
/// doubles. One lane. Allreduce only. Powers of two: exactly 2 lg n steps, 2 (n-1)/n of the buffer sent by each member.
/// Others: a member of a block of b next to a larger one of B adds 2 B/b steps, next to a smaller one 2 steps.
struct HalvingDoublingSchedule {
  Span buffer;
  int members = 1;

  int lanes(int) const { return 1; }
  std::int64_t steps(int member, int lane) const;
  ScheduleStep step(int member, int lane, std::int64_t step) const;
};

/// Two complementary binary trees, each reducing and broadcasting half of the buffer in chunks, pipelined
/// (Sanders, Speck & Traeff 2009; NCCL 2.4). Allreduce only. Height floor(lg n). Tree 0 is in member order, its inner
/// nodes the odd members; tree 1 is shifted by one, so that no member has children in both. Lanes of tree t: 6t +
/// TreeLane; those without a neighbour have no steps. Step k of every lane handles chunk k. A member adds its left
/// child before its right child, always.
/// With `orders`, which visit the g members of a node: the trees join nodes, and each node's members hang below its first in a chain, as in NCCL
/// since 2.4; `last_orders` visit those of a last node with fewer members. Order c carries trees 2c (nodes in order) and 2c + 1 (shifted by one); the buffer is cut into as many parts. A chain child is added
/// last. Lanes of tree t: 8t + TreeLane.
struct TreeSchedule {
  enum TreeLane {
    kReduceLeft,
    kReduceRight,
    kSendUp,
    kReceiveDown,
    kSendLeft,
    kSendRight,
    kTreeLanes,
    kReduceChain = kTreeLanes,
    kSendChain,
    kNodeTreeLanes
  };

  Span buffer;
  int members = 1;
  std::int64_t chunk = 1;  ///< elements, >= 1
  RingOrders orders;       ///< inside a node; empty: every member is a node
  RingOrders last_orders;  ///< inside a last node of members % g, if there is one: as many channels

  int node() const { return orders.empty() ? 1 : static_cast<int>(orders[0].size()); }
  int trees() const { return 2 * orders.channels(); }
  int lanes_per_tree() const { return orders.empty() ? kTreeLanes : kNodeTreeLanes; }
  int lanes(int) const;
  std::int64_t steps(int member, int lane) const;
  ScheduleStep step(int member, int lane, std::int64_t step) const;
};

/// Switches that add and copy (NVLink SHARP; NCCL's NVLS since 2.17, its NVLS tree since 2.18). Allreduce only. Members in rows of `node`, the GPUs behind one
/// switch. The h-th of each row is the head of an equal share of the buffer: chunk by chunk the others give theirs, which the switch adds on the way to
/// the head, and take the total, which the switch copies. Over several rows the heads of a share join in a double binary tree, two parts of the share.
/// Lanes of part p = h * trees() + t: p * lanes_per_part() + NvlsLane; a head's lane kCopies + i sends to the i-th member behind it. Step k handles chunk k
/// (of kGather k (node - 1) + i: what the i-th member behind the head gives). A head adds its row before its left child before its right child.
struct NvlsSchedule {
  enum NvlsLane {
    kGive,
    kGather,
    kReduceLeft,
    kReduceRight,
    kSendUp,
    kReceiveDown,
    kSendLeft,
    kSendRight,
    kTake,
    kCopies
  };

  Span buffer;
  int members = 1;
  int node = 1;            ///< divides `members`; above 1 unless members is 1
  std::int64_t chunk = 1;  ///< elements, >= 1

  int nodes() const { return members / node; }
  int trees() const { return nodes() > 1 ? 2 : 1; }
  int parts() const { return node * trees(); }
  int lanes_per_part() const { return kCopies + node - 1; }
  int lanes(int) const { return parts() * lanes_per_part(); }
  std::int64_t steps(int member, int lane) const;
  ScheduleStep step(int member, int lane, std::int64_t step) const;
};

/// A collective over one group of members, as lazy steps.
class Schedule {
 public:
  using Variant = std::variant<RingSchedule, HalvingDoublingSchedule, TreeSchedule, NvlsSchedule>;
  explicit Schedule(RingSchedule ring) : v_(std::move(ring)) {}
  explicit Schedule(HalvingDoublingSchedule blocks) : v_(blocks) {}
  explicit Schedule(TreeSchedule trees) : v_(trees) {}
  explicit Schedule(NvlsSchedule nvls) : v_(nvls) {}

  int members() const;
  int lanes(int member) const;
  std::int64_t steps(int member, int lane) const;  ///< never 0 on every lane unless members() == 1
  /// Lanes [0, c), [c, 2c), ... of a member wait for lanes of their own block only, and send to lanes of the same block of others; 0: no lane waits
  /// for another, and each sends to the same lane of others.
  int coupled_lanes() const;
  /// Peers that a lane receives from, turn and turn about: step k from peer k % senders. 1 but where a switch adds (NvlsSchedule::kGather).
  int senders(int lane) const;
  /// 0 <= step < steps(member, lane). Pure, no allocation, O(log members) at most.
  ScheduleStep step(int member, int lane, std::int64_t step) const;
  const Variant& variant() const { return v_; }

 private:
  Variant v_;
};

/// `orders` empty = one ring in member order. `chunk` (elements, 0 = everything at once) matters for Reduce, Broadcast
/// and Allreduce, not for the halves of one. members >= 1, buffer.length >= 0. One member has no steps.
Schedule ring_schedule(CollectiveOp op, Span buffer, int members, RingOrders orders = {}, std::int64_t chunk = 0);
Schedule halving_doubling_schedule(Span buffer, int members);
/// `orders`, `last_orders`: see TreeSchedule.
Schedule tree_schedule(Span buffer, int members, std::int64_t chunk, RingOrders orders = {},
                       RingOrders last_orders = {});

/// `node`, `chunk`: see NvlsSchedule.
Schedule nvls_schedule(Span buffer, int members, int node, std::int64_t chunk);

/// Chunks that a length is cut into: at least one, so that an empty buffer still synchronises.
std::int64_t chunk_count(std::int64_t length, std::int64_t chunk);

}  // namespace lockstep
