// Closed-form costs of collectives in the alpha-beta-gamma model (comments of MPICH's allreduce; Thakur et al. 2005;
// Patarasuk & Yuan 2009; trees: Sanders, Speck & Traeff 2009).
#pragma once

#include "core/base/units.hpp"

namespace lockstep {

/// A link as seen by a collective: latency per message, bandwidth per direction, rate of the reduction (zero = free).
struct AlphaBeta {
  Time alpha;
  Bandwidth beta;
  Bandwidth gamma;  ///< bytes added per second; zero bandwidth means reductions cost nothing
};

/// All: n >= 1 ranks (n == 1 gives 0), size B >= 0 bytes, rounded once. Pure.
/// Below, a is alpha, b and g the seconds per byte on the wire and in the sum.

/// 2(n-1) a + 2 B (n-1)/n b + B (n-1)/n g.
Time ring_allreduce_time(Bytes size, int n, const AlphaBeta& link);
/// (n-1) a + B (n-1)/n (b + g); also all-gather when gamma is zero.
Time ring_reduce_scatter_time(Bytes size, int n, const AlphaBeta& link);
/// Powers of two: 2 lg n a + 2 B (n-1)/n b + B (n-1)/n g, exact. Others: MPICH's bound for folding into a power of two,
/// (2 floor(lg n) + 2) a + (2 (n-1)/n + 2) B b + (1 + (n-1)/n) B g; binary blocks send less but, where a small block
/// meets a much larger one, in more messages.
Time halving_doubling_time(Bytes size, int n, const AlphaBeta& link);
/// 2 h (a + c b) + 2 B b + B g with h = floor(lg n) and c = min(chunk, B / 2). chunk > 0.
Time double_tree_time(Bytes size, int n, Bytes chunk, const AlphaBeta& link);
/// Ring reduce-scatter and all-gather of B over `per_node` inside, ring allreduce of B / per_node over `nodes` across;
/// also a torus of rows `per_node` and columns `nodes`. `across` is what ONE stream gets: the NICs of a node divided by
/// its `per_node` streams.
Time hierarchical_time(Bytes size, int per_node, int nodes, const AlphaBeta& inside, const AlphaBeta& across);

/// Bus bandwidth as nccl-tests prints it: size / time x 2 (n - 1) / n for an allreduce.
Bandwidth allreduce_busbw(Bytes size, int n, Time time);

}  // namespace lockstep
