// How a communication library chooses algorithm and protocol: what NCCL of a version believes about the machine. Some limits hold for events.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/units.hpp"

namespace lockstep {

/// A rate on one node, on two nodes, and on more.
struct RateByNodes {
  Bandwidth one = Bandwidth::unlimited(), two = Bandwidth::unlimited(), more = Bandwidth::unlimited();
  Bandwidth at(int nodes) const { return nodes <= 1 ? one : nodes == 2 ? two : more; }
};

/// What the library believes of GPUs of a compute capability and above (up to the next entry). Rates are of payload, as bus bandwidth.
struct ArchitectureTuning {
  int capability = 0;                      ///< 70 = Volta
  Bandwidth nvlink;                        ///< one link and direction, as the search for rings takes it; above 0
  Bandwidth bus = Bandwidth::unlimited();  ///< most over all channels; holds for simulated time too
  bool ll128 = false;                      ///< LL128 by default, where the wiring allows it
  RateByNodes ll;                          ///< LL over all channels; holds for simulated time too
  RateByNodes ll128_ring, ll128_tree;      ///< per channel; hold for simulated time too
  RateByNodes tree;                        ///< simple messages of a tree, per channel; holds for simulated time too
  double ring_slowdown = 1;                ///< factor on the latency of ring / simple over several nodes, >= 1
  std::int64_t ll_thread_bytes = 0;        ///< thresholds: LL up to this many bytes per thread of a step's threads
};

/// None: the library has no rule. Thresholds: NCCL 2.4, tree below a size, LL below another. Estimates: NCCL 2.6 and later, the least of
///   time(algorithm, protocol) = latency + bytes / bandwidth.
enum class TuningRule { None, Thresholds, Estimates };

struct TuningSpec {
  TuningRule rule = TuningRule::None;
  int copies = 1;         ///< channels that the library opens on each ring that it found, >= 1
  int most_channels = 1;  ///< no copies beyond this many channels

  // Estimates. Shares are of the bus bandwidth (channels x speed of one).
  double ring_ll = 1, ring_ll128 = 1;              ///< (0, 1]
  double tree = 1, tree_ll = 1;                    ///< tree_ll on top of tree
  double tree_ll128_one_node = 1, tree_ll128 = 1;  ///< on top of tree; over several nodes
  RateByNodes tree_bus;                            ///< 2.6: most over all channels of a tree
  Bandwidth ll128_bus = Bandwidth::unlimited();    ///< 2.6: most over all channels of an LL128 ring
  bool every_step_network = false;      ///< 2.6: over several nodes every step of a ring costs a network step
  double inside_ll = 1;                 ///< factor on LL's latency inside a node when there are several
  Time inside_floor;                    ///< least latency inside a node when there are several; three times for simple
  std::int64_t slow_from_per_rank = 0;  ///< bytes per rank from which ring_slowdown holds; 0 = see next
  std::int64_t slow_from_per_channel = 0;  ///< bytes per rank and channel; 0 in both = never
  /// Factor on a tree's bandwidth by size: entry i for [64 B x 2^i, 64 B x 2^(i+1)); 1 beyond the last. Empty = 1.
  std::vector<double> correction_simple, correction_ll, correction_ll128;

  // Thresholds.
  Time ring_step;          ///< per rank but one
  Time tree_inside;        ///< per GPU of a node but one
  Time tree_across;        ///< per level of nodes
  Bandwidth channel;       ///< of a ring, per channel over NVLink; without NVLink, of all
  double tree_nvlink = 1;  ///< tree / ring bandwidth; twice that on two nodes
  double tree_pcie = 1;    ///< without NVLink
  int ll_least_threads = 1, ll_most_threads = 1;
  std::int64_t ll_channel_bytes = 1;  ///< bytes per thread before LL takes another channel
  int ll_tree = 1, ll_nodes = 1;      ///< factors on the LL limit: for trees; over several nodes

  std::vector<ArchitectureTuning> architectures;  ///< rising capability

  /// The entry for a GPU: the last whose capability does not exceed it, else the first. Needs at least one.
  const ArchitectureTuning& of(int capability) const;
};

}  // namespace lockstep
