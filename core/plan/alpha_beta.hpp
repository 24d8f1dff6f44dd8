// Closed-form costs of collectives, alpha-beta-gamma model (facts: cost formulas; Thakur et al. 2005; Patarasuk & Yuan 2009).
#pragma once

#include "core/base/units.hpp"

namespace lockstep {

/// A link as seen by a collective: latency per message, bandwidth per direction, rate of the reduction (zero = free).
struct AlphaBeta {
  Time alpha;
  Bandwidth beta;
  Bandwidth gamma;  ///< bytes added per second; zero bandwidth means reductions cost nothing
};

/// All: n >= 1 ranks (n == 1 gives 0), size >= 0, rounded once. Pure.
Time ring_allreduce_time(Bytes size, int n, const AlphaBeta& link);
Time ring_reduce_scatter_time(Bytes size, int n, const AlphaBeta& link);  ///< also all-gather when gamma is zero
Time halving_doubling_time(Bytes size, int n, const AlphaBeta& link);     ///< powers of two: exact; others: binary-block bound
Time double_tree_time(Bytes size, int n, Bytes chunk, const AlphaBeta& link);
Time hierarchical_time(Bytes size, int per_node, int nodes, const AlphaBeta& inside, const AlphaBeta& across);

/// Bus bandwidth as nccl-tests prints it: size / time x 2 (n - 1) / n for an allreduce.
Bandwidth allreduce_busbw(Bytes size, int n, Time time);

}  // namespace lockstep
