// A collective over the whole job: phases over groups of ranks, each of which is a Schedule.
#pragma once

#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/units.hpp"
#include "core/plan/schedule.hpp"
#include "core/spec/run_spec.hpp"

namespace lockstep {

/// Ranks laid out in rows: rank = row * x + column. Hierarchical: a row is a node. x * y = world size.
struct Grid {
  int x = 1;
  int y = 1;
  int size() const { return x * y; }
};

/// Which ranks take part together in a phase.
enum class Group {
  World,   ///< all ranks, member = rank
  Row,     ///< the x ranks of a row, member = column
  Column,  ///< the y ranks of a column, member = row, on the part of the buffer that the column owns
  Leaders  ///< the y ranks of column 0, member = row, on the whole buffer
};

enum class PhaseAlgorithm { Ring, HalvingDoubling, Tree, Nvls };

struct Phase {
  CollectiveOp op = CollectiveOp::Allreduce;
  Group group = Group::World;
  PhaseAlgorithm algorithm = PhaseAlgorithm::Ring;
  RingOrders
      orders;  ///< ring channels as permutations of members, or of a tree the chains inside a node; empty = member order
  RingOrders last_orders;    ///< of a tree: the chains inside a last node with fewer members, as many
  int copies = 1;            ///< channels of the library that an order, or a lane without orders, stands for
  int node = 1;              ///< of NVLS: members behind one switch
  std::int64_t chunk = 0;    ///< elements; of a ring allreduce 0 = pieces of any length
  std::string name() const;  ///< "reduce-scatter in rows (ring x6)"
};

/// Phases run one after the other on each rank: a rank enters the next one when its own part of this one is complete.
struct CollectivePlan {
  AllreduceAlgorithm algorithm = AllreduceAlgorithm::Ring;
  AllreduceAlgorithm across = AllreduceAlgorithm::Ring;  ///< of two_level() algorithms: between rows
  int protocol = -1;  ///< of the library, where the plan was laid out for one (algorithm "library"); -1: any
  Grid grid;
  std::int64_t elements = 0;
  int element_bytes = 4;
  std::vector<Phase> phases;

  Bytes bytes() const { return Bytes(elements * element_bytes); }
  bool added_in_switches() const;  ///< a phase goes by NVLS
  bool takes_part(const Phase& phase, Rank rank) const;
  int member(const Phase& phase, Rank rank) const;  ///< of a rank that takes part
  /// The rank that is `member` of the group of `peer_of`.
  Rank rank(const Phase& phase, Rank peer_of, int member) const;
  /// The schedule of the group that `rank` belongs to. Groups of one phase differ only in the buffer span. O(1): ring
  /// orders are shared.
  Schedule schedule(const Phase& phase, Rank rank) const;
};

/// Everything needed to lay out an allreduce. `node_gpus`: GPUs per node of the placement. `ring_orders`: rings inside
/// a node (see node_rings()), used wherever a phase runs inside full nodes. `across`: algorithm between nodes.
struct CollectiveRequest {
  AllreduceAlgorithm algorithm = AllreduceAlgorithm::Ring;  ///< not Auto, not Library
  AllreduceAlgorithm across = AllreduceAlgorithm::Ring;     ///< Ring, HalvingDoubling or Tree
  int world_size = 1;
  int node_gpus = 1;
  int torus_x = 0;  ///< 0 = node_gpus
  std::int64_t elements = 0;
  int element_bytes = 4;
  std::int64_t chunk = 0;  ///< elements, of trees and chains; 0: trees by tree_chunk(), both 512 KiB at most
  std::int64_t ring_chunk =
      0;  ///< elements per channel of a ring allreduce: longer pieces go round in loops; 0 = no limit
  std::vector<std::vector<int>> ring_orders;
  std::vector<std::vector<int>>
      last_orders;          ///< the same inside a last node with fewer GPUs; empty: ring_orders without the absent ones
  std::vector<int> nic_of;  ///< by local rank, of a node without faults; empty: unknown, or one for all
  int copies = 1;           ///< Phase::copies of a ring or tree over all ranks
  std::int64_t nvls_chunk = 0;  ///< elements of all channels together, of NVLS
};

/// Any world size >= 1 and any number of elements >= 0. Rows have gcd(node_gpus or torus_x, world_size) ranks, so that
/// every row lies inside a node and all rows are equal. World of 1: no phases. Hierarchical and Torus: reduce-scatter
/// in rows, allreduce in columns, all-gather in rows. ThreePhase (Goyal et al., section 4): reduce to the leader,
/// allreduce of leaders, broadcast. Nvls: one phase; world_size is below node_gpus or a multiple of it. Ring over several
/// nodes with `ring_orders`: each channel walks a node's GPUs in its own order, opened at a hop chosen so that the channels
/// load the NICs of `nic_of` evenly and stay on their rails (ring_doors.hpp). NodeTree: two trees per channel join the heads of
/// nodes, the first GPU of each order in `ring_orders`, and the others of a node hang behind it; without `ring_orders`, a Tree. Where the last node is not full there are as
/// many channels as the poorer of `ring_orders` and `last_orders` has.
CollectivePlan plan_collective(const CollectiveRequest& request);

/// Totals over all ranks, by the textbook, O(phases x columns): used by `plan` and by tests that count lazily.
struct CollectiveCount {
  std::int64_t messages = 0;
  std::int64_t elements_sent = 0;
  std::int64_t elements_reduced = 0;
  std::int64_t longest = 0;  ///< most steps on one lane of one rank, summed over phases
};
CollectiveCount count(const CollectivePlan& plan);

}  // namespace lockstep
