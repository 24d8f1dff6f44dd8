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

}  // namespace

Time ring_allreduce_time(Bytes size, int n, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1);
  if (n == 1) return Time::zero();
  const double segment = static_cast<double>(size.count()) / n;
  return Time::seconds(2 * (n - 1) * (link.alpha.seconds() + seconds_to_move(segment, link)) + (n - 1) * seconds_to_add(segment, link));
}

Time ring_reduce_scatter_time(Bytes size, int n, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1);
  if (n == 1) return Time::zero();
  const double segment = static_cast<double>(size.count()) / n;
  return Time::seconds((n - 1) * (link.alpha.seconds() + seconds_to_move(segment, link) + seconds_to_add(segment, link)));
}

Time halving_doubling_time(Bytes size, int n, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1);
  if (n == 1) return Time::zero();
  const auto p = static_cast<double>(std::bit_floor(static_cast<unsigned>(n)));
  const double bytes = static_cast<double>(size.count());
  double alphas = 2 * std::log2(p), moved = 2 * bytes * (p - 1) / p, added = bytes * (p - 1) / p;
  if (!std::has_single_bit(static_cast<unsigned>(n))) {  // fold in and out: two more messages of the whole buffer
    alphas += 2;
    moved += 2 * bytes;
    added += bytes;
  }
  return Time::seconds(alphas * link.alpha.seconds() + seconds_to_move(moved, link) + seconds_to_add(added, link));
}

Time double_tree_time(Bytes size, int n, Bytes chunk, const AlphaBeta& link) {
  LOCKSTEP_EXPECTS(n >= 1 && chunk > Bytes(0));
  if (n == 1) return Time::zero();
  const double bytes = static_cast<double>(size.count());
  const double c = std::min(static_cast<double>(chunk.count()), std::max(1.0, bytes / 2));
  const double height = std::floor(std::log2(n));
  return Time::seconds(2 * height * (link.alpha.seconds() + seconds_to_move(c, link)) + seconds_to_move(2 * bytes, link) + seconds_to_add(bytes, link));
}

Time hierarchical_time(Bytes size, int per_node, int nodes, const AlphaBeta& inside, const AlphaBeta& across) {
  AlphaBeta gather = inside;
  gather.gamma = Bandwidth::bytes_per_second(0);
  return ring_reduce_scatter_time(size, per_node, inside) + ring_allreduce_time(size / per_node, nodes, across) +
         ring_reduce_scatter_time(size, per_node, gather);
}

Bandwidth allreduce_busbw(Bytes size, int n, Time time) { return size / time * (2.0 * (n - 1) / n); }

}  // namespace lockstep
