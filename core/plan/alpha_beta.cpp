#include "core/plan/alpha_beta.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/error.hpp"

namespace lockstep {

namespace {

double seconds_to_move(double bytes, const AlphaBeta& link) { return bytes / link.beta.bytes_per_second(); }
double seconds_to_add(double bytes, const AlphaBeta& link) {
  return link.gamma.bytes_per_second() > 0 ? bytes / link.gamma.bytes_per_second() : 0;
}

// Seconds; each public function rounds the sum once.
double reduce_scatter_seconds(double bytes, int n, const AlphaBeta& link) {
  return (n - 1) * (link.alpha.seconds() + seconds_to_move(bytes / n, link) + seconds_to_add(bytes / n, link));
}

double all_gather_seconds(double bytes, int n, const AlphaBeta& link) {
  return (n - 1) * (link.alpha.seconds() + seconds_to_move(bytes / n, link));
}

double as_double(Bytes size) { return static_cast<double>(size.count()); }

}  // namespace

Time ring_allreduce_time(Bytes size, int n, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1);
  if (n == 1) return Time::zero();
  return Time::seconds(reduce_scatter_seconds(as_double(size), n, link) + all_gather_seconds(as_double(size), n, link));
}

Time ring_reduce_scatter_time(Bytes size, int n, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1);
  if (n == 1) return Time::zero();
  return Time::seconds(reduce_scatter_seconds(as_double(size), n, link));
}

Time halving_doubling_time(Bytes size, int n, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1);
  if (n == 1) return Time::zero();
  const double bytes = as_double(size);
  const double share = static_cast<double>(n - 1) / n;
  double alphas = 2 * std::floor(std::log2(n)), moved = 2 * share * bytes, added = share * bytes;
  if (!std::has_single_bit(static_cast<unsigned>(n))) {
    alphas += 2;
    moved += 2 * bytes;
    added += bytes;
  }
  return Time::seconds(alphas * link.alpha.seconds() + seconds_to_move(moved, link) + seconds_to_add(added, link));
}

Time double_tree_time(Bytes size, int n, Bytes chunk, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1 && chunk > Bytes(0));
  if (n == 1) return Time::zero();
  const double bytes = as_double(size);
  const double c = std::min(as_double(chunk), bytes / 2);  // a tree carries half of the buffer
  const double height = std::floor(std::log2(n));
  return Time::seconds(2 * height * (link.alpha.seconds() + seconds_to_move(c, link)) +
                       seconds_to_move(2 * bytes, link) + seconds_to_add(bytes, link));
}

Time hierarchical_time(Bytes size, int per_node, int nodes, const AlphaBeta& inside, const AlphaBeta& across) {
  LOCKSTEP_EXPECTS(per_node >= 1 && nodes >= 1);
  const double bytes = as_double(size), share = bytes / per_node;
  return Time::seconds(reduce_scatter_seconds(bytes, per_node, inside) + reduce_scatter_seconds(share, nodes, across) +
                       all_gather_seconds(share, nodes, across) + all_gather_seconds(bytes, per_node, inside));
}

Bandwidth allreduce_busbw(Bytes size, int n, Time time) { return size / time * (2.0 * (n - 1) / n); }

}  // namespace lockstep
